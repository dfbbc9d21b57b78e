"""The launcher `detached`. Torch-free, as every launcher."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from example_lab.options import DetachedOptions
from visioncore_engine.errors import ConfigError, Problem, StorageError
from visioncore_engine.launch import RUN_DIR_VARIABLE, Job, LauncherFacts, Place

__all__ = ["Detached"]


class Detached:
    """Trains in a process of its own that goes on when the terminal is closed; what it prints stands in a file.

    Parameters
    ----------
    options
        What the run file says.
    facts
        Environment and devices.

    Raises
    ------
    ConfigError
        Where the run asks for several processes.
    """

    def __init__(self, options: DetachedOptions, facts: LauncherFacts) -> None:
        if facts.devices not in ("auto", 1):
            raise ConfigError(
                Problem(
                    what="a detached run has one process",
                    key="trainer.devices",
                    given=str(facts.devices),
                    todo="write 1, or choose another launcher",
                )
            )
        self._output, self._environment = options.output, facts.environment

    def place(self) -> Place | None:
        """Place of the detached process; None in the one that is to start it."""
        return Place() if RUN_DIR_VARIABLE in self._environment else None

    def agree(self, place: Place, choose: Callable[[], Path]) -> Path:
        """Return the folder that this process, the only one, chooses."""
        return choose()

    def start(self, job: Job) -> str:
        """Start the process, and say which it is; what it prints is appended to the file.

        Raises
        ------
        StorageError
            Where the file cannot be written.
        """
        path = job.run_dir / self._output
        try:
            path.open("ab").close()
        except OSError as error:
            raise StorageError(f"{path}: cannot be written: {error.strerror}") from error
        words = [*job.command, *["--resume"] * job.resume]
        number = os.posix_spawn(
            words[0],
            words,
            {**self._environment, RUN_DIR_VARIABLE: str(job.run_dir)},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, path, os.O_WRONLY | os.O_APPEND, 0),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,  # a session of its own, so that no hang-up of the terminal reaches it
        )
        return f"process {number}, which prints to {path}; end it with: kill {number}"

    def stopped(self, number: int | None) -> None:
        """Do nothing: whoever sent the signal starts again with ``--resume``."""
