"""What was written where in a run, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from visioncore_engine.config.mistakes import KeyPath
from visioncore_engine.config.node import Node
from visioncore_engine.errors import PluginError, Problem, nearest

__all__ = ["Ledger"]


class Ledger:
    """Collects mistakes instead of stopping at the first, and the place of every key on the way.

    Attributes
    ----------
    problems, plugin_problems
        Every mistake so far; those of `plugin_problems` are about plugins rather than the run file.
    places
        Node of each dotted key that was written; lists of blocks by id.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.plugin_problems: list[Problem] = []
        self.places: dict[str, Node] = {}
        self._is_default = False

    def remember(self, key: str, node: Node) -> None:
        """Note where a key was written."""
        if not self._is_default:
            self.places[key] = node

    @contextmanager
    def default(self) -> Iterator[None]:
        """Resolve a default that nobody wrote: it has no place, and what is wrong with it is said to be a default."""
        before, self._is_default = self._is_default, True
        try:
            yield
        finally:
            self._is_default = before

    def place(self, key: str, path: KeyPath, block: Node) -> str:
        """Where a path inside a block was written, or the nearest thing above it."""
        for length in range(len(path), 0, -1):
            node = self.places.get(".".join(filter(None, (key, *map(str, path[:length])))))
            if node is not None:
                return node.where
        return block.where

    def fail(self, what: str, at: Node, key: str, *, given: str | None = None, todo: str = "") -> None:
        """Note a mistake."""
        self.problems.append(Problem(what=what, where=at.where, key=key, given=given, todo=todo))

    def fail_plugin(self, error: PluginError, at: Node, key: str) -> None:
        """Take over what is wrong with a plugin, with the place that chose it."""
        default = "; it is a default, and the run may name another" if self._is_default else ""
        found = [replace(told, where=at.where, key=key, todo=f"{told.todo}{default}") for told in error.problems]
        self.plugin_problems += found
        self.problems += found

    def is_there(self, name: str, value: Node, key: str, siblings: Mapping[str, Node]) -> bool:
        """Whether an entry is more than a removal; a removal must have had something to remove."""
        if value.value is not None:
            return True
        if not value.past:
            others = [other for other, sibling in siblings.items() if sibling.value is not None]
            close = nearest(name, others)
            hint = f"did you mean {close!r}? " if close else ""
            todo = f"{hint}there are: {', '.join(others) or 'none'}"
            self.fail("null removes, and there is nothing to remove", value, key, todo=todo)
        return False
