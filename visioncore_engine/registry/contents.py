"""What a plugin's code is: one hash over its files, found without importing it.

Of an installed wheel those are the files that it brought (its RECORD); of an editable install, or where nobody kept a
RECORD, the files of the package; of a single file the file. The same files give the same hash on every machine.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path, PurePosixPath

from visioncore_engine.registry.plugin import Plugin

__all__ = ["Contents", "contents", "module_file"]


@dataclass(frozen=True)
class Contents:
    """The files of a plugin.

    Attributes
    ----------
    hash
        ``sha256:…`` over the names and contents of all files; empty where no file was found.
    folder
        Where they lie; the working tree of an editable install.
    edited
        Files of a wheel that are not what it brought, or are gone.
    """

    hash: str = ""
    folder: str = ""
    edited: tuple[str, ...] = ()


def contents(plugin: Plugin) -> Contents:
    """Read every file of a plugin and hash them; nothing is imported."""
    if plugin.distribution:
        rows = [] if plugin.editable else _recorded(plugin.distribution)
        if rows:
            found = {name: _digest(path) for name, path, _ in rows}
            edited = tuple(name for name, _, digest in rows if found[name] != digest)
            return Contents(_combined(found.items()), str(rows[0][1].parent), edited)
        roots = _roots(plugin.module)
    else:
        roots = [Path(plugin.source)] if plugin.source else []
    named = [
        (str(PurePosixPath(root.name, path.relative_to(root))) if path != root else root.name, path)
        for root in roots
        for path in _files(root)
    ]
    if not named:
        return Contents()
    return Contents(_combined((name, _digest(path)) for name, path in named), str(roots[0].parent))


def module_file(module: str) -> Path:
    """File of a module, found without importing it; an empty path where there is none."""
    spec = _specification(module, lambda _: True)
    return Path(spec.origin) if spec is not None and spec.origin and Path(spec.origin).is_file() else Path()


def _specification(module: str, goes_on: Callable[[ModuleSpec], bool]) -> ModuleSpec | None:
    """Walk into a dotted module as long as `goes_on`, importing nothing."""
    name, *inner = module.split(".")
    try:
        spec = sys.modules[name].__spec__ if name in sys.modules else importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):  # a finder of somebody else's, or a module that is none
        return None
    while spec is not None and inner and goes_on(spec):
        name = f"{name}.{inner.pop(0)}"
        spec = PathFinder.find_spec(name, spec.submodule_search_locations or [])
    return spec


def _recorded(distribution: str) -> list[tuple[str, Path, str]]:
    """Files that a wheel brought: name, place, and the digest that it promised; none where no RECORD says."""
    import csv  # needed for locks and records only: a listing does without

    import importlib_metadata

    try:
        found = importlib_metadata.distribution(distribution)
    except importlib_metadata.PackageNotFoundError:  # a plugin given in process has no distribution on disk
        return []
    rows = csv.reader((found.read_text("RECORD") or "").splitlines())
    return sorted(
        (row[0], Path(str(found.locate_file(row[0]))), _promised(row[1]))
        for row in rows
        if len(row) > 1 and _is_code(PurePosixPath(row[0]))
    )


def _is_code(file: PurePosixPath) -> bool:
    """Whether a file is of the wheel itself rather than of its installer."""
    home = file.parts[0]
    return not (home == ".." or home.endswith(".dist-info") or file.suffix in (".pth", ".pyc"))


def _promised(hashed: str) -> str:
    import base64

    algorithm, _, value = hashed.partition("=")
    return base64.urlsafe_b64decode(f"{value}=").hex() if algorithm == "sha256" else ""


def _roots(module: str) -> list[Path]:
    """Folders of the package, or the file of the module, that holds a plugin: the outermost that is its own."""
    spec = _specification(module, lambda outer: outer.origin is None)  # a namespace, which other distributions share
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return sorted(map(Path, spec.submodule_search_locations))
    return [Path(spec.origin)] if spec.origin is not None and Path(spec.origin).is_file() else []


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in inside)
        if path.is_file() and not hidden and path.suffix != ".pyc":
            yield path


def _digest(path: Path) -> str:
    import hashlib

    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def _combined(rows: Iterable[tuple[str, str]]) -> str:
    import hashlib

    text = "".join(f"{name} {digest}\n" for name, digest in sorted(rows))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
