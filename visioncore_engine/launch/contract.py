"""What a launcher receives and must be. Torch-free: runs are started and submitted where there may be no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

__all__ = ["RUN_DIR_VARIABLE", "Job", "Launcher", "LauncherFacts", "Place"]

RUN_DIR_VARIABLE = "VISIONCORE_RUN_DIR"
"""Environment variable by which a launcher tells the processes that it starts the run folder it was given."""


@dataclass(frozen=True)
class Place:
    """Which of a run's processes this one is.

    Attributes
    ----------
    rank, world_size
        Number of this process among all of the run, from 0, and how many there are.
    local_rank, local_world_size
        The same among the processes on this host.
    node_rank
        Number of this host, from 0.
    address, port
        Where the first process listens for the others.
    restarted
        An earlier start of the same job has been here: what it began goes on.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    node_rank: int = 0
    address: str = "127.0.0.1"
    port: int = 0
    restarted: bool = False


@dataclass(frozen=True)
class LauncherFacts:
    """What a launcher is built with.

    Attributes
    ----------
    environment
        Environment variables of this process.
    devices
        `trainer.devices` as the run says: processes on each host.
    count_gpus
        Counts the GPUs of this host that the run may use; imports torch.
    run_name, run_dir
        `run.name` and `run.dir`; the latter is empty where the run folder is to be chosen.
    """

    environment: Mapping[str, str]
    devices: int | Literal["auto"]
    count_gpus: Callable[[], int]
    run_name: str = "run"
    run_dir: str = ""


@dataclass(frozen=True)
class Job:
    """A run that is to be started.

    Attributes
    ----------
    run_dir
        Its folder, absolute; it holds the resolved run.
    command
        What every process has to call, with `RUN_DIR_VARIABLE` set to the folder; without ``--resume``.
    resume
        Whether it goes on with what the folder holds.
    """

    run_dir: Path
    command: tuple[str, ...]
    resume: bool


@runtime_checkable
class Launcher(Protocol):
    """Gives a run its processes: it starts them, or finds itself in one that something else has started."""

    def place(self) -> Place | None:
        """Place of this process; None where it trains nothing itself and is to `start` those that do.

        Raises
        ------
        ConfigError
            Where the run and what started this process contradict each other.
        """
        ...

    def agree(self, place: Place, choose: Callable[[], Path]) -> Path:
        """Run folder of all processes that something else has started, before any of them writes.

        Parameters
        ----------
        place
            What `place` said.
        choose
            Chooses the folder; called by the first process alone.

        Raises
        ------
        UserError
            On the first process what `choose` raised; on the others, that it did.
        """
        ...

    def start(self, job: Job) -> str | None:
        """Start the processes and wait for them, or hand the job to somebody; then say to whom.

        Raises
        ------
        UserError, RunError, StorageError, Stopped
            As the process that failed first.
        """
        ...

    def stopped(self, number: int | None) -> None:
        """Called in the first process once a run has saved and ends on a signal (None: another process's signal).

        Raises
        ------
        RunError
            Where what ought to happen then, such as queueing the job again, cannot.
        """
        ...
