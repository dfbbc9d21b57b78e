"""What readers say of files that they cannot read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from visioncore_engine.errors import DataError, Problem

__all__ = ["must_exist", "read_npy", "unreadable"]


def must_exist(path: Path) -> None:
    """Refuse what is no file.

    Raises
    ------
    DataError
        Where it is not there, or is a folder.
    """
    if not path.is_file():
        raise DataError(Problem(where=str(path), what="is a folder" if path.is_dir() else "no such file"))


def unreadable(path: Path, key: str, error: Exception) -> DataError:
    """Make the error for a file, or an array of it, that cannot be read."""
    size = path.stat().st_size
    return DataError(
        Problem(
            where=str(path),
            key=key,
            what=f"cannot be read as plain arrays: {error}",
            given=f"a file of {size} bytes",
            todo="truncated, damaged, or holding Python objects, which are never loaded",
        )
    )


def read_npy(path: Path) -> np.ndarray:
    """Read an array into memory.

    Raises
    ------
    DataError
        Where the file is missing, damaged, or holds Python objects.
    """
    must_exist(path)
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except Exception as error:  # as `arrays._map`
        raise unreadable(path, "", error) from error
