"""The run folder: which one it is, and whether it may be used."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from datetime import datetime
from pathlib import Path

from visioncore_engine.errors import CheckpointError, ConfigError, Problem, StorageError

__all__ = ["STORAGE_ERRORS", "RunFolder", "write_text"]

STORAGE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})
"""Errors of the operating system that say that there is no room, whoever writes."""


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: readers see the old file or the new one.

    Raises
    ------
    StorageError
        Where there is no room, or the file system is read-only.
    """
    try:
        _replace_text(path, text)
    except OSError as error:
        if error.errno in STORAGE_ERRORS:
            raise StorageError(f"storage failed: {path}: cannot write: {error.strerror}") from error
        raise


def _replace_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            Path(temporary).unlink(missing_ok=True)
        raise


class RunFolder:
    """Paths inside a run folder.

    Parameters
    ----------
    path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, name: str, folder: str, *, resume: bool) -> RunFolder:
        """Choose the folder of a run; nothing is written yet.

        Parameters
        ----------
        name
            Name of the run.
        folder
            The folder itself; empty for ``runs/<name>/<time>``.
        resume
            Continue `folder`, else the newest folder of ``runs/<name>``.

        Raises
        ------
        ConfigError
            Where a used folder is named without `resume`, or there is nothing to resume.
        """
        home = Path("runs") / name
        if folder:
            path = Path(folder)
        elif resume:
            used = sorted(path for path in home.glob("*") if cls(path).is_used())
            if not used:
                raise ConfigError(
                    Problem(what=f"nothing to resume: no run in {home}", key="--resume", todo="train without --resume")
                )
            path = used[-1]
        else:
            path = home / datetime.now().astimezone().strftime("%Y%m%d-%H%M%S-%f")
        run = cls(path)
        if run.is_used() and not resume:
            raise ConfigError(
                Problem(
                    what="this folder already holds a run",
                    where=str(path),
                    key="run.dir",
                    todo="continue it with --resume, or choose another folder",
                )
            )
        if resume and not run.is_used():
            raise ConfigError(
                Problem(what="nothing to resume: the folder holds no run", where=str(path), key="run.dir")
            )
        return run

    def is_used(self) -> bool:
        """Whether a run has been started here."""
        # The record is written once the parts are built: a run that was refused can be mended and started here again.
        return self.record_file.exists()

    def create(self) -> None:
        """Make the folder and try to write in it.

        Raises
        ------
        StorageError
            Where it cannot be written.
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            write_text(self.path / "log.txt", "") if not (self.path / "log.txt").exists() else None
        except OSError as error:
            raise StorageError(f"storage failed: {self.path}: cannot write here: {error.strerror}") from error

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def run_file(self) -> Path:
        """The resolved, filled run."""
        return self.path / "run.yaml"

    @property
    def record_file(self) -> Path:
        """What was used: plugins, versions, data, hardware."""
        return self.path / "record.json"

    def checkpoint(self, name: str) -> Path:
        """Path of ``best``, ``last``, a file name in the folder, or any path.

        Raises
        ------
        CheckpointError
            Where there is no such file.
        """
        for path in (self.checkpoints / f"{name}.ckpt", self.checkpoints / name, Path(name)):
            if path.is_file():
                return path
        there = ", ".join(sorted(path.name for path in self.checkpoints.glob("*.ckpt"))) or "none"
        raise CheckpointError(
            Problem(
                what="no such checkpoint", where=str(self.checkpoints), given=repr(name), todo=f"there are: {there}"
            )
        )
