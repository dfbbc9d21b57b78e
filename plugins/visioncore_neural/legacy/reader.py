"""Reads files of `torch.save` that hold Python objects, and runs nothing that they name."""

from __future__ import annotations

import collections
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import torch

from visioncore_engine.errors import CheckpointError, Problem

__all__ = ["Placeholder", "read_legacy"]

# What a pickle may call: makers of tensors and plain containers. All of them are exact names, none is looked up.
_MAKERS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "defaultdict"): dict,  # its factory is code: the items are enough
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("torch._utils", "_rebuild_tensor_v2"): vars(torch._utils)["_rebuild_tensor_v2"],  # noqa: SLF001 - pickles name it
    ("torch._utils", "_rebuild_parameter"): vars(torch._utils)["_rebuild_parameter"],  # noqa: SLF001 - pickles name it
}
_DTYPES = {name: value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}


class Placeholder:
    """Stands for an object of a class that is not known here; holds what the file says of it, and does nothing.

    Attributes
    ----------
    name
        ``module.name`` of the class or function.
    arguments, state, items
        What it was made with, its state, and what was put into it.
    """

    name = ""

    def __new__(cls, *arguments: Any, **_named: Any) -> Self:
        """Make one, whatever it is called with."""
        made = super().__new__(cls)
        made.arguments, made.state, made.items = arguments, None, []
        return made

    arguments: tuple[Any, ...]
    state: Any
    items: list[Any]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Do nothing."""

    def __setstate__(self, state: Any) -> None:
        """Keep the state."""
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """Keep an item."""
        self.items.append((key, value))

    def append(self, value: Any) -> None:
        """Keep an item."""
        self.items.append(value)

    def extend(self, values: Any) -> None:
        """Keep items."""
        self.items.extend(values)


@dataclass(frozen=True)
class Legacy:
    """A file, read.

    Attributes
    ----------
    payload
        What it holds, on the CPU.
    unknown
        ``module.name`` of everything for which a `Placeholder` stands.
    """

    payload: Any
    unknown: tuple[str, ...]


def read_legacy(path: str | Path) -> Legacy:
    """Read a file of `torch.save`.

    Raises
    ------
    CheckpointError
        Where there is no such file, it is no such file, or it holds a compiled program (TorchScript).
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(Problem(where=str(path), what="no such checkpoint"))
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.rpartition("/")[2] == "constants.pkl" for name in archive.namelist()):
                what = "it holds a compiled program (TorchScript), not weights; nothing of it was run"
                raise CheckpointError(Problem(where=str(path), what=what))
    unknown: dict[str, type[Placeholder]] = {}
    try:
        # Every name in the file goes through `find_class` below, which returns makers of tensors or a placeholder.
        payload = torch.load(path, map_location="cpu", pickle_module=_inert(unknown), weights_only=False)
    except Exception as error:  # a damaged or hostile file fails in any way it likes
        what = f"cannot be read: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise CheckpointError(Problem(where=str(path), what=what)) from error
    return Legacy(payload, tuple(sorted(unknown)))


def _inert(unknown: dict[str, type[Placeholder]]) -> ModuleType:
    """A stand-in for the module `pickle` whose unpickler knows a few makers and nothing else."""

    class Unpickler(pickle.Unpickler):
        def find_class(self, module_name: str, global_name: str) -> Any:
            if (module_name, global_name) in _MAKERS:
                return _MAKERS[module_name, global_name]
            if module_name == "torch" and global_name in _DTYPES:
                return _DTYPES[global_name]
            if module_name == "torch" and global_name.endswith("Storage"):
                return (
                    getattr(torch, global_name) if global_name in _STORAGES else _placeholder(module_name, global_name)
                )
            return _placeholder(module_name, global_name)

    def _placeholder(module_name: str, global_name: str) -> type[Placeholder]:
        name = f"{module_name}.{global_name}"
        return unknown.setdefault(name, type("Placeholder", (Placeholder,), {"name": name}))

    def load(file: Any, **options: Any) -> Any:
        return Unpickler(file, **options).load()

    module = ModuleType("inert_pickle")
    vars(module).update(Unpickler=Unpickler, load=load)
    return module


_STORAGES = frozenset(
    f"{name}Storage" for name in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
)
