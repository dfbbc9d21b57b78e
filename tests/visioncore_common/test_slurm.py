"""The launcher of SLURM jobs against a stub of SLURM; what the real one does stands in tests/clusters."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from visioncore_common.launchers.script import job_script
from visioncore_common.launchers.slurm import Slurm
from visioncore_common.options.launcher import SlurmOptions
from visioncore_engine.errors import ConfigError, PluginError, RunError
from visioncore_engine.launch import Job, LauncherFacts

STEP = {
    "SLURM_JOB_ID": "70",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_STEP_NUM_TASKS": "5",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
    "SLURM_STEP_NUM_NODES": "3",
    "SLURM_STEP_NODELIST": "gpu[1-3]",
}


def launcher(environment, options=None, *, devices="auto", run_dir=""):
    return Slurm(options or SlurmOptions(), LauncherFacts(environment, devices, lambda: 0, "run", run_dir))


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Puts a stub of a program first in PATH; it writes its arguments down, then does what a test says."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    (tmp_path / "bin").mkdir()
    log = tmp_path / "calls"

    def stub(program, does="true"):
        path = tmp_path / "bin" / program
        path.write_text(f'#!/bin/sh\necho "{program} $*" >> {shlex.quote(str(log))}\n{does}\n')
        path.chmod(0o755)
        return lambda: log.read_text().splitlines() if log.exists() else []

    return stub


def test_a_process_of_a_step_finds_its_place(calls):
    calls("scontrol", "printf 'gpu1\\ngpu2\\ngpu3\\n'")
    place = launcher(STEP).place()
    assert (place.rank, place.world_size, place.local_rank, place.local_world_size, place.node_rank) == (3, 5, 1, 2, 1)
    assert (place.address, place.restarted) == ("gpu1", False)
    other = launcher({**STEP, "SLURM_PROCID": "4", "SLURM_LOCALID": "0", "SLURM_NODEID": "2"}).place()
    assert other.local_world_size == 1
    assert other.port == place.port  # all processes of a step meet at one
    assert 15000 <= place.port < 32000


def test_where_slurm_names_no_hosts_it_fails_aloud(calls):
    calls("scontrol", "echo 'no such host' >&2; exit 1")
    with pytest.raises(RunError, match="does not name the hosts of this job: no such host"):
        launcher(STEP).place()


@pytest.mark.parametrize(
    ("environment", "alone"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_PTY_PORT": "1"}, None),  # a shell in a job submits others
        ({"SLURM_JOB_ID": "7"}, False),
        ({"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "1"}, True),
    ],
)
def test_it_knows_whether_it_is_in_a_job_and_whether_that_has_started_before(environment, alone):
    place = launcher(environment).place()
    assert place is None if alone is None else (place.world_size, place.restarted) == (1, alone)


def test_a_script_that_forgot_srun_is_told(calls):
    with pytest.raises(ConfigError, match="write srun before it"):
        launcher({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2"}).place()


def test_devices_are_those_that_srun_started_and_gpus_those_of_the_run(calls):
    calls("scontrol", "echo gpu1")
    with pytest.raises(ConfigError, match=r"trainer\.devices: srun started 2 processes on this host"):
        launcher(STEP, devices=4).place()
    with pytest.raises(ConfigError, match="every GPU has one process"):
        launcher({}, SlurmOptions(gpus_per_node=2), devices=4)


def test_a_job_of_ones_own_script_must_name_its_folder(tmp_path):
    environment = {**STEP, "SLURM_STEP_NUM_NODES": "1", "SLURM_PROCID": "1"}
    found = launcher(environment)
    with pytest.raises(ConfigError, match=r"run\.dir: the processes of a job must be told where to write"):
        found.agree(found.place(), Path)
    told = launcher(environment, run_dir=str(tmp_path))
    assert told.agree(told.place(), Path) == tmp_path


def script(options, *, devices="auto", folder="/a folder", resume=False):
    job = Job(Path(folder), ("python", "-c", "train()", "it's"), resume)
    return job_script(options, LauncherFacts({}, devices, lambda: 0, "run"), job)


def test_the_script_asks_for_what_the_run_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = SlurmOptions(
        partition="gpu",
        account="lab",
        time="1-12:00:00",
        nodes=2,
        gpus_per_node=4,
        cpus_per_task=8,
        memory="64G",
        extra=("--constraint=a100",),
        setup=("module load cuda",),
    )
    lines = script(options).splitlines()
    for line in (
        "--job-name=run",
        f"--chdir={tmp_path}",
        '--output="/a folder/job-%j.txt"',
        "--open-mode=append",
        "--requeue",
        "--signal=USR1@120",
        "--nodes=2",
        "--ntasks-per-node=4",
        "--gpus-per-node=4",
        "--cpus-per-task=8",
        "--mem=64G",
        "--time=1-12:00:00",
        "--partition=gpu",
        "--account=lab",
        "--constraint=a100",
    ):
        assert f"#SBATCH {line}" in lines
    assert lines.index("module load cuda") > max(number for number, line in enumerate(lines) if "#SBATCH" in line)
    assert any(line.startswith("srun --kill-on-bad-exit=1 --cpus-per-task=8 python") for line in lines)


def test_what_is_not_asked_for_is_the_clusters_choice():
    text = script(SlurmOptions(requeue=False, signal_before=0), devices=3, folder="/100% done")
    assert "--no-requeue" in text
    assert "--ntasks-per-node=3" in text
    assert '--output="/100%% done/job-%j.txt"' in text
    for word in ("--signal", "--time", "--mem", "--gpus", "--partition", "--account", "--cpus-per-task"):
        assert word not in text


@pytest.mark.parametrize("used", [False, True])
def test_the_script_is_bash_resumes_a_used_folder_and_has_the_exit_code_of_its_processes(tmp_path, calls, used):
    folder = tmp_path / "it's a 'folder'"
    folder.mkdir()
    (folder / "record.json").write_text("{}") if used else None
    seen = calls("srun", 'echo "VISIONCORE_RUN_DIR=$VISIONCORE_RUN_DIR"; exit 143')
    (tmp_path / "job.sh").write_text(script(SlurmOptions(), folder=str(folder)))
    done = subprocess.run(["bash", str(tmp_path / "job.sh")], capture_output=True, text=True, check=False)
    assert done.returncode == 143
    assert done.stdout.strip() == f"VISIONCORE_RUN_DIR={folder}"
    assert seen() == [f"srun --kill-on-bad-exit=1 python -c train() it's{' --resume' * used}"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("partition", "gpu\n#SBATCH --uid=0"),
        ("setup", ["true\nfalse"]),
        ("extra", ["rm"]),
        ("time", "soon"),
        ("time", 0),
        ("memory", "64 gigabytes"),
        ("signal_before", -1),
    ],
)
def test_nothing_of_a_run_file_breaks_out_of_its_line(key, value):
    with pytest.raises(ValidationError):
        SlurmOptions.model_validate_json(json.dumps({key: value}))


def test_submitting_says_what_sbatch_says(tmp_path, calls, monkeypatch):
    calls("sbatch", "echo Submitted batch job 12")
    job = Job(tmp_path, ("python",), resume=False)
    assert launcher({}, SlurmOptions(submit=True)).start(job) == f"Submitted batch job 12: {tmp_path / 'job.sh'}"
    calls("sbatch", "echo 'invalid partition' >&2; exit 1")
    with pytest.raises(PluginError, match="sbatch refuses the job: invalid partition"):
        launcher({}, SlurmOptions(submit=True)).start(job)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PluginError, match=r"there is no sbatch on this machine.*submit it where there is one"):
        launcher({}, SlurmOptions(submit=True)).start(job)


JOB = {"SLURM_JOB_ID": "7"}


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM, None])
def test_a_stopped_run_is_queued_again_once(calls, number):
    seen = calls("scontrol", "echo JobId=7 JobState=RUNNING Requeue=1")
    launcher(JOB).stopped(number)
    assert [call for call in seen() if "requeue" in call] == ["scontrol requeue 7"]


@pytest.mark.parametrize(
    ("environment", "options", "number"),
    [
        ({}, SlurmOptions(), signal.SIGUSR1),
        (JOB, SlurmOptions(requeue=False), signal.SIGUSR1),
        (JOB, SlurmOptions(), signal.SIGINT),  # Ctrl-C means it
    ],
)
def test_nothing_is_queued_where_nobody_wants_it(calls, environment, options, number):
    seen = calls("scontrol")
    launcher(environment, options).stopped(number)
    assert seen() == []


def test_a_job_that_slurm_ends_itself_stays_ended(calls, capsys):
    seen = calls("scontrol", "echo JobId=7 JobState=COMPLETING Requeue=1")
    launcher(JOB).stopped(signal.SIGTERM)
    assert not any("requeue" in call for call in seen())
    assert "is ending job 7 itself" in capsys.readouterr().err


@pytest.mark.parametrize("does", ["echo 'Requested operation is presently disabled' >&2; exit 1", None])
def test_a_job_that_cannot_be_queued_again_fails_with_slurms_words(calls, monkeypatch, tmp_path, does):
    if does:
        calls("scontrol", does)
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match="the run is saved, but job 7 could not be queued again") as error:
        launcher(JOB).stopped(signal.SIGUSR1)
    assert ("presently disabled" if does else "No such file") in str(error.value)
