"""A job of SLURM: outside it, its script is written and perhaps submitted; in it, its processes train."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from visioncore_common.launchers.environment import check_devices, number
from visioncore_common.launchers.script import job_script
from visioncore_common.options.launcher import SlurmOptions
from visioncore_engine.errors import ConfigError, PluginError, Problem, RunError
from visioncore_engine.launch import Job, LauncherFacts, Place

__all__ = ["Slurm"]

_PORTS = range(15000, 32000)  # below those that systems hand out by themselves
_SECONDS = 60.0  # that a command of SLURM may take


class Slurm:
    """Writes the script of a job, and finds itself in one.

    A run that has saved on a signal queues its job again, unless SLURM is ending the job anyway: a job that somebody
    cancelled would come back to life.

    Parameters
    ----------
    options, facts
        What the run says, and the environment.
    """

    def __init__(self, options: SlurmOptions, facts: LauncherFacts) -> None:
        self._options, self._facts = options, facts
        if options.gpus_per_node and facts.devices not in ("auto", options.gpus_per_node):
            raise ConfigError(
                Problem(
                    what=f"launch.gpus_per_node is {options.gpus_per_node}, and every GPU has one process",
                    key="trainer.devices",
                    given=str(facts.devices),
                    todo=f"write {options.gpus_per_node} or auto",
                )
            )

    def place(self) -> Place | None:
        """Place of this process in its job; None outside of one, and in an interactive shell of one.

        Raises
        ------
        ConfigError
            Where SLURM started another number of processes than the run has, or the job's script has forgotten
            ``srun``.
        """
        environment = self._facts.environment
        if "SLURM_JOB_ID" not in environment or "SLURM_PTY_PORT" in environment:
            return None
        restarted = number(environment, "SLURM_RESTART_COUNT", "SLURM", "0") > 0
        if "SLURM_STEP_ID" not in environment:
            if number(environment, "SLURM_NTASKS", "SLURM", "1") > 1:
                raise ConfigError(
                    Problem(what="only srun starts all processes of a job", key="launch", todo="write srun before it")
                )
            return Place(restarted=restarted)
        rank, size, local_rank, node, job = (
            number(environment, name, "srun")
            for name in ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_JOB_ID")
        )
        local_size = _tasks_of_node(environment.get("SLURM_STEP_TASKS_PER_NODE", str(size)), node)
        check_devices(self._facts, local_size, "srun")
        step = number(environment, "SLURM_STEP_ID", "srun")
        port = _PORTS[(job + step) % len(_PORTS)]
        return Place(rank, size, local_rank, local_size, node, _first_host(environment), port, restarted=restarted)

    def agree(self, place: Place, choose: Callable[[], Path]) -> Path:
        """Folder of a job whose script is not ours: the processes of a step cannot ask each other.

        Raises
        ------
        ConfigError
            Where several processes have no `run.dir`.
        """
        if place.world_size > 1 and not self._facts.run_dir:
            raise ConfigError(
                Problem(
                    what="the processes of a job must be told where to write",
                    key="run.dir",
                    todo="set it to a folder that all hosts share",
                )
            )
        return choose() if place.rank == 0 else Path(self._facts.run_dir)

    def start(self, job: Job) -> str:
        """Write the job's script into the run folder, and submit it where the run says so.

        Raises
        ------
        PluginError
            Where it is to be submitted and cannot be.
        """
        path = job.run_dir / "job.sh"
        path.write_text(job_script(self._options, self._facts, job), encoding="utf-8")
        path.chmod(0o755)
        if not self._options.submit:
            return f"the job is written, submit it with: {shlex.join(['sbatch', str(path)])}"
        return f"{self._submit(path)}: {path}"

    def stopped(self, number: int | None) -> None:
        """Queue the job again, once.

        Raises
        ------
        RunError
            Where SLURM does not do it.
        """
        job = self._facts.environment.get("SLURM_JOB_ID")
        if not self._options.requeue or job is None or number == signal.SIGINT:
            return
        if "JobState=COMPLETING" in _call("scontrol", "--oneliner", "show", "job", job).stdout.split():
            _say(f"SLURM is ending job {job} itself, so it is not queued again; continue with: sbatch job.sh")
            return
        done = _call("scontrol", "requeue", job)
        if done.returncode:
            raise RunError(
                f"run failed: the run is saved, but job {job} could not be queued again: `scontrol requeue` says "
                f"{(done.stderr or done.stdout).strip()!r}; submit its script again, or set launch.requeue: false"
            )
        _say(f"job {job} is queued again, and goes on from here")

    def _submit(self, path: Path) -> str:
        if shutil.which("sbatch") is None:
            raise PluginError(
                Problem(
                    what="there is no sbatch on this machine",
                    key="launch.submit",
                    todo=f"submit it where there is one: sbatch {path}",
                )
            )
        environment = {**os.environ, **self._facts.environment}  # hands the run's secrets on to the job
        done = _call("sbatch", str(path), environment=environment)
        if done.returncode:
            raise PluginError(Problem(what=f"sbatch refuses the job: {done.stderr.strip()}", where=str(path)))
        return done.stdout.strip()


def _call(*command: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of SLURM; one that is missing or hangs is a failure like any other."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS, env=environment)  # noqa: S603 - SLURM's own commands
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the job's log must tell


def _tasks_of_node(text: str, node: int) -> int:
    """Tasks on one host, from SLURM's short form: ``2(x3),1`` is 2, 2, 2 and 1.

    Raises
    ------
    ConfigError
        Where it does not tell of this host.
    """
    counts: list[int] = []
    for count, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", text):
        counts += [int(count)] * int(times or 1)
    if node >= len(counts):
        what = f"SLURM_STEP_TASKS_PER_NODE does not tell of host {node}"
        raise ConfigError(Problem(what=what, key="launch", given=repr(text), todo="start the processes with srun"))
    return counts[node]


def _first_host(environment: Mapping[str, str]) -> str:
    """Name of the host of the first process.

    Raises
    ------
    RunError
        Where SLURM does not name its hosts.
    """
    if environment.get("SLURM_STEP_NUM_NODES", "1") == "1":
        return "127.0.0.1"
    done = _call("scontrol", "show", "hostnames", environment.get("SLURM_STEP_NODELIST", ""))
    if done.returncode or not done.stdout.strip():
        raise RunError(f"run failed: SLURM does not name the hosts of this job: {done.stderr.strip()}")
    return done.stdout.split()[0]
