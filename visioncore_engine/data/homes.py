"""Where the frames of a run live: on the device, in one copy for all processes of a host, or where they were opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from visioncore_engine.data import shared
from visioncore_engine.errors import ConfigError, Problem

__all__ = ["Home", "Housing", "Movable", "free_memory", "settle"]

Home = Literal["auto", "device", "shared", "mapped"]

MARGIN = 0.5  # of what is free: the rest is for the model, its activations and everybody else

_ON_DEVICE = ("uint8", "int8", "int16", "int32", "float16", "float32")
_CHUNK = 2**26  # bytes copied to a device at once


@runtime_checkable
class Movable(Protocol):
    """A dataset whose large arrays may live elsewhere."""

    def large_arrays(self) -> Mapping[str, Any]:
        """Give the arrays that windows are read from, by a name each: arrays, or what is sliced like one."""
        ...

    def replace_arrays(self, arrays: Mapping[str, np.ndarray | Tensor]) -> None:
        """Read windows from these instead, from now on; tensors lie on the device."""
        ...


@dataclass(frozen=True)
class Housing:
    """Where the frames live, and why.

    Attributes
    ----------
    home
        ``device``, ``shared`` or ``mapped``.
    num_bytes
        Of the arrays that were moved there, or stay where they are.
    why
        What was measured.
    """

    home: str
    num_bytes: int
    why: str

    def __str__(self) -> str:
        where = {"device": "on the device", "shared": "in memory that the processes of this host share"}
        return f"frames ({_size(self.num_bytes)}) {where.get(self.home, 'where they were opened')}: {self.why}"

    def plain(self) -> dict[str, Any]:
        """For the record."""
        return asdict(self)


def settle(dataset: object, wanted: Home, device: torch.device, *, token: str, processes: int = 1) -> Housing:
    """Choose a home, and bring the dataset's large arrays there.

    Parameters
    ----------
    dataset
        Stays as it is where it is not `Movable`.
    wanted
        ``auto`` measures: the device where twice as much is free; else shared, where several processes would hold
        arrays in memory and there is room; else where they were opened.
    device
        What the run trains on; a CPU's is its memory.
    token
        A word that the processes of this run have, and no other.
    processes
        Of this run on this host.

    Raises
    ------
    ConfigError
        Where there is no room in the home that is asked for.
    StorageError
        Where the system refuses memory that it said it had.
    """
    if not isinstance(dataset, Movable):
        if wanted in ("device", "shared"):
            raise _no_room(wanted, "the dataset keeps its data itself: it has no `large_arrays`")
        return Housing("mapped", 0, "the dataset keeps its data itself")
    arrays = dict(dataset.large_arrays())
    if wanted == "device" or (wanted == "auto" and device.type != "cpu"):
        movable = {name: array for name, array in arrays.items() if _may_move(array)}
        size, free = _num_bytes(movable), free_memory(device)
        why = f"{_size(free)} of memory are free there"
        if movable and size <= (MARGIN if wanted == "auto" else 1.0) * free:
            dataset.replace_arrays({name: _moved(array, device) for name, array in movable.items()})
            return Housing("device", size, why + _left(arrays, movable))
        if wanted == "device":
            raise _no_room(wanted, f"{_size(size)} of frames, {why}" if movable else "no array has a dtype for it")
    loose = arrays if wanted == "shared" else {name: array for name, array in arrays.items() if not _in_file(array)}
    if loose and (wanted == "shared" or (wanted == "auto" and processes > 1)):
        size, free = _num_bytes(loose), min(shared.free_bytes(), free_memory(torch.device("cpu")))
        why = f"{processes} processes, {_size(free)} of shared memory are free"
        if free and (size <= (MARGIN if wanted == "auto" else 1.0) * free or shared.is_there(token)):
            dataset.replace_arrays(shared.attach(loose, token, processes))
            return Housing("shared", size, why + _left(arrays, loose))
        if wanted == "shared":
            raise _no_room(wanted, f"{_size(size)} of frames, {why}")
    files = sum(map(_in_file, arrays.values()))
    why = f"{files} of {len(arrays)} arrays are memory-mapped files" if arrays else "there are none"
    return Housing("mapped", _num_bytes(arrays), why)


def free_memory(device: torch.device) -> int:
    """Bytes that may still be taken on a device; on a CPU, of memory, within the limit of the control group."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    info = Path("/proc/meminfo")
    if not info.exists():  # not Linux: nobody says, so nothing is promised
        return 0
    lines = info.read_text().splitlines()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    limit, taken = (Path("/sys/fs/cgroup", name) for name in ("memory.max", "memory.current"))
    if limit.exists() and taken.exists() and limit.read_text().strip() != "max":
        free = min(free, int(limit.read_text()) - int(taken.read_text()))
    return free


def _no_room(home: str, what: str) -> ConfigError:
    return ConfigError(Problem(key="loader.home", what=f"cannot be {home!r}: {what}", todo="write auto or mapped"))


def _may_move(array: Any) -> bool:
    return array.dtype.isnative and array.dtype.name in _ON_DEVICE


def _in_file(array: Any) -> bool:
    """Whether an array is read from a file: all processes then share what the system keeps of it."""
    return not isinstance(array, np.ndarray) or isinstance(array, np.memmap)


def _num_bytes(arrays: Mapping[str, Any]) -> int:
    return sum(int(np.prod(array.shape)) * array.dtype.itemsize for array in arrays.values())


def _moved(array: Any, device: torch.device) -> Tensor:
    dtype = torch.from_numpy(np.empty(0, array.dtype)).dtype
    found = torch.empty(tuple(array.shape), dtype=dtype, device=device)
    rows = max(_CHUNK // max(array.dtype.itemsize * int(np.prod(array.shape[1:])), 1), 1)
    for start in range(0, array.shape[0], rows):
        # A copy: torch warns of arrays that may not be written, as memory maps are.
        found[start : start + rows] = torch.from_numpy(np.array(array[start : start + rows]))
    return found


def _left(arrays: Mapping[str, Any], moved: Mapping[str, Any]) -> str:
    left = len(arrays) - len(moved)
    return f"; {left} of {len(arrays)} arrays stay where they were opened" if left else ""


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"
