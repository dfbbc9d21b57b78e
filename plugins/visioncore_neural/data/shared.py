"""Stimuli that several sessions show: stored once, and known by their hash."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from visioncore_engine.errors import DataError, Problem
from visioncore_neural.data.arrays import Array, MappedArray
from visioncore_neural.data.files import must_exist, unreadable
from visioncore_neural.data.fingerprint import array_hash

__all__ = ["FOLDER", "store", "with_shared_stimulus"]

FOLDER = "stimuli"
"""Folder beside the sessions that holds what they share."""


def store(array: Array, digest: str, folder: Path, write: Callable[[Array, Path], None]) -> Path:
    """Put an array into a folder of shared ones, unless it is there; return its file.

    Parameters
    ----------
    array, digest
        The array, and its `array_hash`.
    folder
        Where it belongs.
    write
        Writes an array to a path, durably.

    Raises
    ------
    DataError
        Where the file that should hold it holds something else.
    """
    name = hashlib.sha256(f"{digest} {array.dtype.str} {tuple(array.shape)}".encode()).hexdigest()
    path = folder / f"{name}.npy"
    if path.exists():
        if array_hash(MappedArray.of(path)) != digest:
            what = "is not the stimulus that its name stands for: it was changed after it was written"
            raise DataError(Problem(where=str(path), key="stim", what=what, todo="delete it, and convert again"))
        return path
    folder.mkdir(parents=True, exist_ok=True)
    handle, work = tempfile.mkstemp(prefix=".", dir=folder)
    os.close(handle)
    try:
        write(array, Path(work))
        Path(work).chmod(0o644)  # mkstemp makes files that nobody else may read
        Path(work).replace(path)
    finally:
        Path(work).unlink(missing_ok=True)
    return path


def with_shared_stimulus(
    arrays: Mapping[str, np.ndarray], stimulus: str, path: Path, *, headers: bool
) -> dict[str, np.ndarray]:
    """Add the stimulus that a session's file leaves to another one.

    Parameters
    ----------
    arrays
        Arrays of the session's file, by our names; ``stim_sha256``, where there is one, must be the hash of the values.
    stimulus
        ``FILE.npy``, or ``FILE.h5:KEY``, relative to the folder of the session's file; empty where there is none.
    path
        The session's file.
    headers
        Whether only dtype and shape are wanted: no value is read.

    Raises
    ------
    DataError
        Where the stimulus is missing or damaged, is another one than the session was recorded with, or is there twice.
    """
    found = dict(arrays)
    digest = found.pop("stim_sha256", None)
    if stimulus:
        if "stim" in found:
            what = "the file holds a stimulus of its own"
            todo = "leave `stimulus` out, or the other unread: `keys: {stim: null}`"
            raise DataError(Problem(where=str(path), key="stimulus", what=what, given=stimulus, todo=todo))
        found["stim"] = _read(path.parent, stimulus, headers=headers)
    if digest is not None and "stim" in found and not headers:
        said = digest.item().decode() if isinstance(digest.item(), bytes) else str(digest.item())
        if array_hash(found["stim"]) != said:
            what = "is not the stimulus that the session was recorded with: its SHA-256 differs"
            where = str(path.parent / stimulus) if stimulus else str(path)
            raise DataError(Problem(where=where, key="stim_sha256", what=what, given=f"{said[:12]}… in {path.name}"))
    return found


def _read(folder: Path, stimulus: str, *, headers: bool) -> np.ndarray:
    name, colon, key = stimulus.rpartition(":")
    path = folder / (name if colon else stimulus)
    must_exist(path)
    try:
        array = _of_hdf5(path, key, headers=headers) if colon else np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # as `arrays._map`
        raise unreadable(path, key, error) from error
    return np.broadcast_to(np.zeros((), array.dtype), array.shape) if headers else np.asarray(array)


def _of_hdf5(path: Path, key: str, *, headers: bool) -> Any:
    import h5py

    with h5py.File(path, "r") as file:
        dataset = file[key]
        return np.broadcast_to(np.zeros((), dataset.dtype), dataset.shape) if headers else dataset[()]
