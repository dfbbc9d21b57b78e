"""What our loggers share."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from visioncore_engine.errors import StorageError

__all__ = ["RunLogger", "storage"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EIO)


@contextmanager
def storage(path: Path) -> Iterator[None]:
    """Say which file could not be written where the disk is full or read-only.

    Raises
    ------
    StorageError
        Instead of the operating system's error.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            message = f"storage failed: {path}: cannot log: {error.strerror}; make room, then resume"
            raise StorageError(message) from error
        raise


class RunLogger(Logger):
    """A logger of one run; the engine calls `log_metrics` and `finalize`, and keeps `resume_id` in checkpoints.

    What the attributes mean stands in `contracts.LoggerFacts`.
    """

    resume_id: str | None = None
    writes_at_once = False

    @property
    def name(self) -> str:
        """Name of the logger: its class."""
        return type(self).__name__.lower()

    @property
    def version(self) -> str:
        """Nothing: the run folder is the version."""
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Ignore them: the resolved run stands in the run folder."""
