"""A real SLURM: a job that is signalled saves, is queued again once, goes on, and nothing shows."""

from __future__ import annotations

import json
import re
import shlex

import numpy as np
import pytest
from clusters import PLUGINS, needs, weights, words
from slurm_cluster import PROGRAMS, SlurmCluster
from waiting import until

from visioncore_engine.checkpoint import read_checkpoint
from visioncore_engine.cli import main


@pytest.fixture(scope="module")
def slurm():
    """A SLURM of one host."""
    needs(PROGRAMS, "slurm-wlm and munge")
    with SlurmCluster() as cluster:
        yield cluster


@pytest.fixture
def job(here, slurm, monkeypatch):
    """Writes and submits a job, and waits until all its processes wait in a step; its number and folder."""
    for name in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(name, slurm.environment[name])
    folder = here / "a run"  # a blank in a path has to get through sbatch, bash and srun

    def job(capsys, *sets, processes):
        assert main(words(f"run.dir={folder}", "launch.name=slurm", "launch.submit=true", *sets)) == 0
        number = int(re.search(r"Submitted batch job (\d+)", capsys.readouterr().out)[1])
        waiting = [folder / f"waiting-{rank}" for rank in range(processes)]

        def told():
            logs = "".join(path.read_text() for path in folder.glob("job-*.txt"))
            return f"{slurm.job(number)}\n--- the job's log\n{logs}\n{slurm.logs()}"

        def reaches(state):
            until(f"job {number} is {state}", lambda: slurm.job(number).get("JobState") == state, shown=told)

        until("its processes wait", lambda: all(path.exists() for path in waiting), shown=told)
        return number, folder, reaches

    return job


def test_a_signalled_job_saves_is_queued_again_once_and_resumes_to_the_same_weights(here, slurm, job, capsys):
    sets = ("trainer.devices=2", "callbacks.toy_wait.at=3")
    assert main(words("run.dir=whole", "trainer.devices=2")) == 0
    number, folder, reaches = job(capsys, *sets, "launch.signal_before=60", "launch.time=5", processes=2)

    slurm.ask("scancel", "--signal=USR1", str(number))
    reaches("PENDING")
    assert slurm.job(number)["Restarts"] == "1"
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"] == 4

    # SLURM waits for two minutes by itself; within the second of the stop, it takes the start for one that it revoked.
    slurm.ask("scontrol", "update", f"JobId={number}", "StartTime=now+2seconds")
    reaches("COMPLETED")
    assert slurm.job(number)["Restarts"] == "1"
    log = (folder / f"job-{number}.txt").read_text()
    assert log.count("SIGUSR1: saving at the next step") == 2  # each process was signalled, in the first start alone
    assert log.count("is queued again") == 1
    assert "Traceback" not in log
    whole, cut = weights("whole"), weights(folder)
    assert whole.keys() == cut.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(cut[name], value)


def test_a_cancelled_job_saves_and_stays_cancelled(here, slurm, job, capsys):
    number, folder, reaches = job(capsys, "callbacks.toy_wait.at=1", processes=1)
    slurm.ask("scancel", str(number))
    reaches("CANCELLED")
    found = slurm.job(number)
    assert (found["Restarts"], found["Requeue"]) == ("0", "1")
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"] == 2
    assert "it is not queued again" in (folder / f"job-{number}.txt").read_text()


def test_sbatch_understands_every_option_of_the_script(here, slurm, monkeypatch, capsys):
    for name in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(name, slurm.environment[name])
    options = (
        *("launch.partition=test", "launch.time=0-00:30:00", "launch.cpus_per_task=1", "launch.memory=100M"),
        *("launch.requeue=false", 'launch.extra=["--nice=10", "--begin=now+1hour"]', 'launch.setup=["true"]'),
    )
    assert main(words("run.dir=a run", "launch.name=slurm", *options)) == 0
    command = shlex.split(capsys.readouterr().out.partition("submit it with: ")[2])
    number = re.search(r"\d+", slurm.ask(*command))[0]
    found = slurm.job(number)
    slurm.ask("scancel", number)
    assert found["JobName"] == "run"
    assert found["Partition"] == "test"
    assert found["TimeLimit"] == "00:30:00"
    assert found["Requeue"] == "0"
    assert found["Nice"] == "10"
    assert found["NumTasks"] == "1"
    assert found["JobState"] == "PENDING"


def test_a_sweep_is_an_array_and_its_finished_runs_are_not_submitted_again(here, slurm, monkeypatch, capsys):
    for name in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(name, slurm.environment[name])
    text = "run: run.yaml\nmode: slurm\nseeds: [1, 2]\ngrid: {callbacks.toy_wait.at: [null]}\n"
    (here / "a sweep.yaml").write_text(text)
    words = ["sweep", "a sweep.yaml", *(word for plugin in PLUGINS for word in ("--plugin", plugin))]
    assert main(words) == 0
    number = re.search(r"Submitted batch job (\d+)", capsys.readouterr().err)[1]
    folders = [here / "runs" / "a-sweep" / f"at=null-seed{seed}" for seed in (1, 2)]

    def told():
        logs = "".join(path.read_text() for folder in folders for path in folder.glob("job-*.txt"))
        return f"{slurm.ask('squeue')}\n{logs}\n{slurm.logs()}"

    assert main(words) == 2
    assert f"array {number} of this sweep is still in the queue" in capsys.readouterr().err
    until("both are finished", lambda: all((folder / "scores.json").exists() for folder in folders), shown=told)
    until("the queue is empty", lambda: slurm.ask("squeue", "--noheader") == "", shown=told)
    assert main([*words, "--json"]) == 0
    captured = capsys.readouterr()
    assert "Submitted" not in captured.err
    assert [run["state"] for run in json.loads(captured.out)["runs"]] == ["was finished"] * 2
