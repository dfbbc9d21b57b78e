"""One copy of large arrays for all processes of a host, in memory that they map.

The files lie in the system's memory file system and have names only until every process has mapped them: memory that
nobody maps any more is the system's again, however the processes end. Where one is killed before, the names it left go
with the next run of the same user.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

with suppress(ImportError):  # not on Windows, which has no such memory either
    import fcntl

from visioncore_engine.errors import DataError, Problem, StorageError

__all__ = ["ROOT", "attach", "free_bytes", "is_there"]

ROOT = Path("/dev/shm")  # noqa: S108 - where Linux keeps POSIX shared memory; our folder in it is nobody else's

_CHUNK = 2**24  # bytes written at once
_alive: list[int] = []  # descriptors whose locks say that this process lives


def free_bytes(root: Path = ROOT) -> int:
    """What may be written, in bytes; 0 where there is no such memory."""
    return shutil.disk_usage(root).free if os.access(root, os.W_OK) else 0


def is_there(token: str, root: Path = ROOT) -> bool:
    """Whether another process has written the arrays of a token."""
    return (_folder(root) / token).exists()


def attach(arrays: Mapping[str, Any], token: str, readers: int, root: Path = ROOT) -> dict[str, np.ndarray]:
    """Map arrays that are written by the first process that comes.

    Parameters
    ----------
    arrays
        By name: an array, or what is sliced like one.
    token
        A word that the processes of one run have, and no other.
    readers
        How many processes come; the last one takes the names away.
    root
        The memory file system.

    Returns
    -------
    By name: the shared array, read-only.

    Raises
    ------
    DataError
        Where another process brought other arrays.
    StorageError
        Where there is no room.
    """
    folder = _folder(root)
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise StorageError(f"{folder} belongs to somebody else")
    with _locked(folder / "lock"):
        _sweep(folder)
        home = folder / token
        if not home.exists():
            try:
                _write(arrays, home)
            except OSError as error:
                shutil.rmtree(home, ignore_errors=True)
                raise StorageError(f"cannot keep the data in shared memory: {error}") from error
        _live(home)
        found = _map(arrays, home)
        came = int((home / "came").read_text()) + 1
        (home / "came").write_text(str(came))
        if came >= readers:
            shutil.rmtree(home)
    return found


def _folder(root: Path) -> Path:
    return root / f"visioncore-{os.getuid()}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Remove what belongs to processes that are no more."""
    for home in folder.iterdir():
        if not home.is_dir():
            continue
        descriptor = os.open(home / "alive", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(home)
        finally:
            os.close(descriptor)


def _live(home: Path) -> None:
    descriptor = os.open(home / "alive", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    _alive.append(descriptor)


def _write(arrays: Mapping[str, Any], home: Path) -> None:
    home.mkdir(mode=0o700)
    for number, array in enumerate(arrays.values()):
        rows = max(_CHUNK // max(array.dtype.itemsize * int(np.prod(array.shape[1:])), 1), 1)
        with (home / f"{number}.npy").open("wb") as file:
            header = {"descr": array.dtype.str, "fortran_order": False, "shape": tuple(array.shape)}
            np.lib.format.write_array_header_2_0(file, header)
            for start in range(0, array.shape[0], rows):
                # Written, not mapped and stored to: where memory ends, that is an error and no dead process.
                file.write(np.ascontiguousarray(array[start : start + rows]).data)
    (home / "came").write_text("0")
    (home / "names.json").write_text(json.dumps(_described(arrays)))


def _described(arrays: Mapping[str, Any]) -> list[list[Any]]:
    return [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]


def _map(arrays: Mapping[str, Any], home: Path) -> dict[str, np.ndarray]:
    there, wanted = json.loads((home / "names.json").read_text()), _described(arrays)
    if there != wanted:
        other = next((a, b) for a, b in zip([*there, None], [*wanted, None], strict=False) if a != b)
        raise DataError(
            Problem(key="loader.home", what=f"another process of this host shares {other[0]}", given=str(other[1]))
        )
    return {name: np.load(home / f"{number}.npy", mmap_mode="r") for number, name in enumerate(arrays)}
