"""Several processes on this host: start them, watch them, end them together. Torch-free."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from visioncore_engine.errors import ConfigError, EngineError, Hung, Problem, RunError, Stopped, StorageError, UserError
from visioncore_engine.launch.contract import RUN_DIR_VARIABLE, Job, LauncherFacts, Place

__all__ = ["LocalLauncher", "end_with"]

_POLL_SECONDS = 0.1
_PARENT_VARIABLE = "VISIONCORE_LAUNCHER_PID"
_SIGNAL_OF_PARENTS_DEATH = 1  # PR_SET_PDEATHSIG of prctl(2)


class LocalLauncher:
    """Trains in this process; with several devices, starts one process for each on this host and ends them together.

    When one process fails, the others get a while to end by themselves, then SIGTERM, then SIGKILL: none is left
    behind. Signals to this process are handed on.

    Parameters
    ----------
    facts
        See `LauncherFacts`.
    grace
        Seconds that the others get, before each of the two signals.
    """

    def __init__(self, facts: LauncherFacts, *, grace: float = 10.0) -> None:
        self._facts, self._grace = facts, grace

    def place(self) -> Place | None:
        """Place of this process; None where there are to be several and this is none of them.

        Raises
        ------
        ConfigError
            Where something else has started several processes: each would train a run of its own.
        """
        environment = self._facts.environment
        if RUN_DIR_VARIABLE in environment and "RANK" in environment:
            _end_with_the_launcher(environment)
            return _place(environment)
        _refuse_strangers(environment)
        return Place() if self._num_processes() == 1 else None

    def agree(self, place: Place, choose: Callable[[], Path]) -> Path:
        """Return the folder that this process, the only one, chooses."""
        return choose()

    def start(self, job: Job) -> None:
        """Train with several processes, and wait for all of them.

        Raises
        ------
        UserError, RunError, StorageError, Stopped
            As the first process that failed; its own message is on standard error already.
        """
        num_processes = self._num_processes()
        shared = _environment(job.run_dir, num_processes, self._facts.environment)
        workers = [
            subprocess.Popen(  # noqa: S603 - our own command line
                [*job.command, *["--resume"] * job.resume],
                env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=None if rank == 0 else subprocess.DEVNULL,
            )
            for rank in range(num_processes)
        ]
        with _handed_on(workers):
            code, rank = _wait(workers, self._grace)
        if code:
            raise _failure(code, rank)

    def stopped(self, number: int | None) -> None:
        """Do nothing: whoever sent the signal starts again with ``--resume``."""

    def _num_processes(self) -> int:
        devices = self._facts.devices
        return max(1, self._facts.count_gpus()) if devices == "auto" else devices


def _place(environment: Mapping[str, str]) -> Place:
    """Place that `_environment` described."""
    rank, size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
    return Place(rank, size, rank, size, address=environment["MASTER_ADDR"], port=int(environment["MASTER_PORT"]))


def _end_with_the_launcher(environment: Mapping[str, str]) -> None:
    """Let this process get SIGTERM, and so save and stop, when its launcher is gone: nobody would end it."""
    if _PARENT_VARIABLE in environment:
        end_with(int(environment[_PARENT_VARIABLE]), signal.SIGTERM)


def end_with(parent: int, number: int) -> None:
    """Let this process get a signal when the thread of its parent that started it is gone; on Linux only."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_SIGNAL_OF_PARENTS_DEATH, number, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)  # it was gone before


def _refuse_strangers(environment: Mapping[str, str]) -> None:
    """Several processes that nobody joined would train several runs, and nothing would say so."""
    in_step = "SLURM_STEP_ID" in environment and "SLURM_PTY_PORT" not in environment
    found = None
    if "TORCHELASTIC_RUN_ID" in environment:
        found = "torchrun"
    elif in_step and environment.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        found = "slurm"
    if found:
        raise ConfigError(
            Problem(
                what=f"this process was started by {'srun' if found == 'slurm' else found}, with others beside it",
                key="launch",
                given="local",
                todo=f"write launch: {found}, or start one process",
            )
        )


def _environment(run_dir: Path, num_processes: int, environment: Mapping[str, str]) -> Mapping[str, str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    threads = str(max(1, (os.cpu_count() or 1) // num_processes))
    return {
        "OMP_NUM_THREADS": threads,  # before the rest: what the user set stands
        **environment,
        RUN_DIR_VARIABLE: str(run_dir),
        _PARENT_VARIABLE: str(os.getpid()),
        "WORLD_SIZE": str(num_processes),
        "LOCAL_WORLD_SIZE": str(num_processes),
        "GROUP_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


@contextmanager
def _handed_on(workers: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Hand signals on to the workers instead of dying before them."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}

    def hand_on(number: int, frame: object) -> None:
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(number)

    for number in numbers:
        signal.signal(number, hand_on)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(workers: Sequence[subprocess.Popen[bytes]], grace: float) -> tuple[int, int]:
    """Exit code and rank of the first worker that failed, once all have ended; (0, 0) where none did."""
    failed: tuple[int, int] | None = None
    deadline, urge = float("inf"), signal.SIGTERM
    while None in [worker.poll() for worker in workers]:  # all are asked: one that ended behind the first is seen too
        if failed is None and (ended := _failed(workers)):
            failed, deadline = _cause(ended), time.monotonic() + grace
        if time.monotonic() > deadline:
            for worker in workers:
                if worker.poll() is None:
                    worker.send_signal(urge)
            deadline, urge = time.monotonic() + grace, signal.SIGKILL
        time.sleep(_POLL_SECONDS)
    ended = _failed(workers)
    return failed or (_cause(ended) if ended else (0, 0))


def _failed(workers: Sequence[subprocess.Popen[bytes]]) -> list[tuple[int, int]]:
    return [(worker.returncode, rank) for rank, worker in enumerate(workers) if worker.returncode]


def _cause(ended: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Of those found at once the one that the others fail for: they miss it, and end as failed runs."""
    return min(ended, key=lambda found: found[0] == RunError.exit_code)


def _failure(code: int, rank: int) -> EngineError:
    if code == Stopped.exit_code:
        return Stopped("stopped: every process saved and ended; continue with --resume")
    if code == UserError.exit_code:
        return UserError(f"process {rank} refused to train; its message stands above")
    if code == StorageError.exit_code:
        return StorageError(f"storage failed: process {rank} could not write; its message stands above")
    if code == Hung.exit_code:
        return Hung(f"hang: process {rank} ended as one that hangs; what it said stands above")
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    if code == -signal.SIGKILL:
        how += " (the system does that where memory runs out: try a larger optimizer.accumulate)"
    return RunError(f"run failed: process {rank} {how}; the others were ended, and the last checkpoint stands")
