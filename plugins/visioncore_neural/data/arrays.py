"""Arrays on disk, opened when they are read, with a bound on how many are open at once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from visioncore_engine.errors import DataError, Problem

__all__ = ["MAX_OPEN", "Array", "MappedArray", "num_open"]

MAX_OPEN = 128
"""Files kept open by one process, however many sessions a run has."""

_open: OrderedDict[str, np.ndarray] = OrderedDict()
_lock = threading.Lock()


def num_open() -> int:
    """How many arrays are open now."""
    return len(_open)


def _opened(path: str) -> np.ndarray:
    """Memory map of a ``.npy`` file; the least recently used one is let go (and closed once no reader holds it)."""
    with _lock:
        array = _open.pop(path, None)
        if array is None:
            array = _map(path)
        _open[path] = array
        while len(_open) > MAX_OPEN:
            _open.popitem(last=False)
        return array


def _map(path: str) -> np.ndarray:
    try:
        return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except Exception as error:  # NumPy parses the header as Python text, which fails in any way where it is damaged
        size = Path(path).stat().st_size if Path(path).exists() else 0
        raise DataError(
            Problem(
                where=path,
                what=f"cannot be read as a plain array: {error}",
                given=f"a file of {size} bytes",
                todo="truncated, damaged or pickled; convert the session again",
            )
        ) from error


@dataclass(frozen=True)
class MappedArray:
    """A ``.npy`` file that behaves like an array. Pickles as its path; safe to read from several threads.

    Attributes
    ----------
    path
        The file.
    shape, dtype
        From its header.
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, path: Path) -> MappedArray:
        """Read the header of a file.

        Raises
        ------
        DataError
            Where it is missing, truncated, or holds Python objects.
        """
        with _lock:
            _open.pop(str(path), None)  # the file may have been replaced since this process last read it
        array = _opened(str(path))
        return cls(str(path), tuple(array.shape), array.dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.asarray(_opened(self.path)[key])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(_opened(self.path), dtype=dtype, copy=bool(copy) or None)


Array = np.ndarray | MappedArray
"""In memory or mapped: has `shape`, `dtype`, `ndim`, indexing, and becomes an array by `numpy.asarray`."""
