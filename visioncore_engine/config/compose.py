"""Putting a run file together: `extends`, several files from left to right, then ``--set``.

The rule is purely one of shape, so that nobody needs to know a plugin to read it:

- A mapping over a mapping merges, key by key; everything else replaces what it lies over.
- A **block** is a mapping with a `name`, or a bare word, short for ``{name: word}``. A block of another name replaces
  the one below it with all its options; the same name, or none, keeps them.
- A list of blocks is short for a mapping id -> block, where the id is a block's `id`, else its `name`. A mapping over
  a list merges into it by id; a list over anything replaces it.
- `null` stands for "as if it were not written", so it removes what lies below it.
- ``run`` has a key `name` but is no block.

Files are laid over each other one by one: a file that extends others is those files, then itself. So it makes no
difference how a stack of files is cut into files that extend each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from visioncore_engine.config.document import parse_value, read
from visioncore_engine.config.interpolation import escape
from visioncore_engine.config.node import Node, Origin, as_mapping, shown, spread_word, to_node
from visioncore_engine.errors import ConfigError, Problem, nearest

__all__ = ["Composed", "Source", "compose", "merge"]

Source = str | os.PathLike[str] | Mapping[str, Any]
"""A run file, or plain values that are taken as they are: nothing in them is interpolated."""

_NO_BLOCK = ("run",)


@dataclass(frozen=True)
class Composed:
    """A run as it was written: one tree, and the files that it came from, in the order in which they were laid."""

    root: Node
    files: tuple[str, ...]


def compose(sources: Iterable[Source], sets: Iterable[str] = ()) -> Composed:
    """Lay files over each other, then single values.

    Parameters
    ----------
    sources
        Run files, from left to right.
    sets
        ``key=value`` each; `value` is YAML.

    Raises
    ------
    ConfigError
        With every mistake in every file.
    """
    reader = _Reader()
    for source in sources:
        if isinstance(source, Mapping):
            reader.layers.append(to_node(source, "<mapping>", escape))
        else:
            reader.read(os.fspath(source), "", ())
    for text in sets:
        reader.set(text)
    if reader.problems:
        raise ConfigError(*reader.problems)
    if not reader.layers:
        raise ConfigError("no run file was given")
    root, *over = reader.layers
    for layer in over:
        root = merge(root, layer)
    return Composed(root, tuple(reader.files))


class _Reader:
    """Collects the layers of a run, and what is wrong with any of them."""

    def __init__(self) -> None:
        self.layers: list[Node] = []
        self.files: list[str] = []
        self.problems: list[Problem] = []

    def read(self, path: str, asked_at: str, chain: tuple[str, ...]) -> None:
        """Read a file after those that it extends."""
        if os.path.realpath(path) in [os.path.realpath(above) for above in chain]:
            what = f"it leads back to the file itself: {' -> '.join((*chain, path))}"
            self.problems.append(Problem(what=what, where=asked_at, key="extends"))
            return
        if not Path(path).is_file():
            self.problems.append(_no_file(path, asked_at))
            return
        try:
            root = read(Path(path), path)
        except ConfigError as error:
            self.problems += error.problems
            return
        assert isinstance(root.value, dict)
        extends = root.value.get("extends")
        if extends is not None and extends.value is not None:
            for name in self._names(extends):
                self.read(os.path.normpath(Path(path).parent / name), extends.where, (*chain, path))
        self.files.append(path)
        self.layers.append(replace(root, value={key: node for key, node in root.value.items() if key != "extends"}))

    def _names(self, extends: Node) -> list[str]:
        items = extends.value if isinstance(extends.value, list) else [extends]
        names = [item.value for item in items if isinstance(item.value, str)]
        if len(names) < len(items):
            what = "expected a file name or a list of file names"
            self.problems.append(Problem(what=what, where=extends.where, key="extends", given=shown(extends)))
        return names

    def set(self, text: str) -> None:
        """Add one ``--set key=value``."""
        key, equals, value = text.partition("=")
        key, where = key.strip(), "--set"
        parts = key.split(".")
        if not equals or not all(parts):
            self.problems.append(Problem(what="expected key=value", where="--set", given=repr(text)))
        elif not value.strip():
            self.problems.append(
                Problem(what="there is no value", where=where, key=key, todo=f"write {key}=null to remove it")
            )
        elif parts[0] == "extends":
            self.problems.append(
                Problem(what="belongs in a file", where=where, key="extends", todo="name the files in a row")
            )
        else:
            try:
                node = parse_value(value, where)
            except ConfigError as error:
                self.problems += (replace(problem, key=key) for problem in error.problems)
                return
            for part in reversed(parts):
                node = Node({part: node}, where)
            self.layers.append(node)


def _no_file(path: str, asked_at: str) -> Problem:
    if "://" in path or path.startswith(("http:", "https:")):
        return Problem(what="only local files are read", where=asked_at, key="extends", given=path)
    what = "is a folder, not a run file" if Path(path).is_dir() else "no such file"
    folder = Path(path).parent
    close = nearest(Path(path).name, [file.name for file in folder.iterdir()]) if folder.is_dir() else None
    todo = f"did you mean {str(folder / close)!r}?" if close else ""
    if asked_at:
        return Problem(what=what, where=asked_at, key="extends", given=path, todo=todo)
    return Problem(what=what, where=path, todo=todo)


def merge(base: Node, over: Node, path: tuple[str, ...] = ()) -> Node:
    """Lay one value over another; see the module's docstring for the rule."""
    if isinstance(over.value, str) and isinstance(base.value, dict) and base.name is not None and path != _NO_BLOCK:
        over = spread_word(over)
    if not isinstance(over.value, dict):
        return replace(over, past=base.history)
    if isinstance(base.value, str):
        base = spread_word(base)
    elif isinstance(base.value, list):
        base = as_mapping(base) or base
    if not isinstance(base.value, dict):
        return replace(over, past=base.history)
    if base.name is not None and over.name not in (None, base.name) and path != _NO_BLOCK:
        return _renamed(base, over)
    merged = dict(base.value)
    for key, child in over.value.items():
        merged[key] = merge(merged[key], child, (*path, key)) if key in merged else child
    return replace(base, value=merged)


def _renamed(base: Node, over: Node) -> Node:
    """Replace a block by one of another name; the name remembers what it replaced."""
    assert isinstance(base.value, dict)
    assert isinstance(over.value, dict)
    old = base.value["name"]
    new = replace(over.value["name"], past=(*old.past, Origin(old.where, shown(old))))
    return replace(over, value={**over.value, "name": new}, past=base.history)
