"""Entry points of installed packages, read straight from their files.

importlib-metadata, which defines what is installed, takes a third of the time of a listing to import. It is asked where
it is imported already, and where something is unusual: packages in archives, finders of their own, one distribution
twice, a value with extras.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

__all__ = ["Distribution", "Point", "installed_points", "points_on_disk"]

_ENDINGS = (".dist-info", ".egg-info")
_VALUE = re.compile(r"\w+(\.\w+)*(:\w+(\.\w+)*)?")
_SEPARATORS = re.compile(r"[-_.]+")


class _UnusualError(Exception):
    """Something that is left to importlib-metadata."""


@dataclass(frozen=True)
class Distribution:
    """An installed distribution; `folder` is that of its metadata."""

    name: str
    version: str
    folder: Path

    def read_text(self, name: str) -> str | None:
        """Text of a file beside the metadata; None where there is none."""
        return _text(self.folder, name)


@dataclass(frozen=True)
class Point:
    """An entry point: ``module`` or ``module:object``."""

    name: str
    value: str
    dist: Distribution

    def load(self) -> Any:
        """Import what it names."""
        module, _, attributes = self.value.partition(":")
        return reduce(getattr, filter(None, attributes.split(".")), importlib.import_module(module))


def installed_points(group: str) -> Iterable[Any]:
    """Entry points of a group: objects with `name`, `value`, `dist` and `load`."""
    found = None if "importlib_metadata" in sys.modules else points_on_disk(group, sys.path, sys.meta_path)
    if found is not None:
        return found
    import importlib_metadata

    return importlib_metadata.entry_points(group=group)


def points_on_disk(group: str, path: Sequence[str], finders: Iterable[Any]) -> list[Point] | None:
    """Entry points of a group in the folders of `path`, in its order; None where that may not be all, or not right.

    Parameters
    ----------
    group
        Section of ``entry_points.txt``.
    path, finders
        `sys.path` and `sys.meta_path`.
    """
    try:
        if any(map(_finds_more, finders)):
            return None
        return list(_points(group, dict.fromkeys(path)))
    except (_UnusualError, OSError, UnicodeDecodeError):
        return None


def _finds_more(finder: Any) -> bool:
    known = finder is PathFinder or type(finder).__module__ == "importlib_metadata"
    return not known and hasattr(finder, "find_distributions")


def _points(group: str, path: Iterable[str]) -> Iterator[Point]:
    folders: dict[str, list[Path]] = {}
    for root in path:
        for folder in _metadata_folders(Path(root)):
            name = folder.name.rpartition(".")[0].partition("-")[0]
            folders.setdefault(_SEPARATORS.sub("-", name).lower(), []).append(folder)
    for alike in folders.values():
        pairs = [pair for folder in alike for pair in _pairs(_text(folder, "entry_points.txt") or "", group)]
        if pairs and len(alike) > 1:
            raise _UnusualError  # the first whose metadata are whole counts
        if pairs:
            dist = _distribution(alike[0])
            yield from (Point(name, value, dist) for name, value in pairs)


def _metadata_folders(root: Path) -> Iterator[Path]:
    if root.is_file() or root.suffix.lower() == ".egg":
        raise _UnusualError
    if root.is_dir():
        yield from (folder for folder in root.iterdir() if folder.name.lower().endswith(_ENDINGS))


def _pairs(text: str, group: str) -> Iterator[tuple[str, str]]:
    section = ""
    for line in map(str.strip, text.splitlines() if group in text else ()):
        if line.startswith("[") and line.endswith("]"):
            section = line.strip("[]")
        elif line and not line.startswith("#") and section == group:
            name, equals, value = line.partition("=")
            if not equals or not _VALUE.fullmatch(value.strip()):
                raise _UnusualError
            yield name.strip(), value.strip()


def _distribution(folder: Path) -> Distribution:
    text = _text(folder, "METADATA") or _text(folder, "PKG-INFO") or ""
    header = text.partition("\n\n")[0].splitlines()
    found = dict(line.split(": ", 1) for line in header if line.startswith(("Name: ", "Version: ")))
    if len(found) < 2:
        raise _UnusualError
    return Distribution(found["Name"].strip(), found["Version"].strip(), folder)


def _text(folder: Path, name: str) -> str | None:
    try:
        return (folder / name).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
        return None
