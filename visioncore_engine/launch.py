"""Several processes on this host: start them, watch them, end them together. Torch-free."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from visioncore_engine.errors import EngineError, RunError, Stopped, StorageError, UserError
from visioncore_engine.registry import Registry

__all__ = ["RUN_DIR_VARIABLE", "launch", "worker_run_dir"]

RUN_DIR_VARIABLE = "VISIONCORE_RUN_DIR"
GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.1
_MAIN = "from visioncore_engine.cli import main; raise SystemExit(main())"


def worker_run_dir() -> Path | None:
    """Run folder that the launcher chose for this process; None where this process was not launched."""
    chosen = os.environ.get(RUN_DIR_VARIABLE)
    return Path(chosen) if chosen else None


def launch(run_file: Path, num_processes: int, registry: Registry, *, resume: bool, quiet: bool) -> None:
    """Train a resolved run with several processes, and wait for all of them.

    When one process fails, the others get `GRACE_SECONDS` to end by themselves, then SIGTERM, then SIGKILL: none is
    left behind. Signals to this process are handed on.

    Parameters
    ----------
    run_file
        The resolved run, in its run folder.
    num_processes
        Processes on this host.
    registry
        The plugins; files and blocks are handed on.

    Raises
    ------
    UserError, RunError, StorageError, Stopped
        As the first process that failed; its own message is on standard error already.
    """
    command = [sys.executable, "-c", _MAIN, "train", str(run_file), *_plugin_arguments(registry)]
    command += ["--resume"] * resume + ["--quiet"] * quiet
    shared = _environment(run_file.parent, num_processes)
    workers = [
        subprocess.Popen(  # noqa: S603 - our own command line
            command,
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=None if rank == 0 else subprocess.DEVNULL,
        )
        for rank in range(num_processes)
    ]
    with _handed_on(workers):
        code, rank = _wait(workers)
    if code:
        raise _failure(code, rank)


def _plugin_arguments(registry: Registry) -> list[str]:
    arguments = []
    for plugin in registry.plugins:
        if plugin.status == "blocked":
            arguments += ["--block", plugin.name]
        elif not plugin.distribution and plugin.source:
            arguments += ["--plugin", plugin.source]
    return arguments


def _environment(run_dir: Path, num_processes: int) -> Mapping[str, str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    threads = str(max(1, (os.cpu_count() or 1) // num_processes))
    return {
        "OMP_NUM_THREADS": threads,  # before the rest: what the user set stands
        **os.environ,
        RUN_DIR_VARIABLE: str(run_dir.resolve()),
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


def _wait(workers: Sequence[subprocess.Popen[bytes]]) -> tuple[int, int]:
    """Exit code and rank of the first worker that failed, once all have ended; (0, 0) where none did."""
    failed: tuple[int, int] | None = None
    deadline, urge = float("inf"), signal.SIGTERM
    while any(worker.poll() is None for worker in workers):
        for rank, worker in enumerate(workers):
            if failed is None and worker.returncode:
                failed, deadline = (worker.returncode, rank), time.monotonic() + GRACE_SECONDS
        if time.monotonic() > deadline:
            for worker in workers:
                if worker.poll() is None:
                    worker.send_signal(urge)
            deadline, urge = time.monotonic() + GRACE_SECONDS, signal.SIGKILL
        time.sleep(_POLL_SECONDS)
    codes = [(worker.returncode, rank) for rank, worker in enumerate(workers) if worker.returncode]
    return failed or (codes[0] if codes else (0, 0))


def _failure(code: int, rank: int) -> EngineError:
    if code == Stopped.exit_code:
        return Stopped("stopped: every process saved and ended; continue with --resume")
    if code == UserError.exit_code:
        return UserError(f"process {rank} refused to train; its message stands above")
    if code == StorageError.exit_code:
        return StorageError(f"storage failed: process {rank} could not write; its message stands above")
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return RunError(f"run failed: process {rank} {how}; the others were ended, and the last checkpoint stands")
