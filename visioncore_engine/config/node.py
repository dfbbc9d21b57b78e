"""A value of a run file together with the place where it was written, and what it replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from visioncore_engine.errors import ConfigError, Problem
from visioncore_engine.secrets import HIDDEN, is_secret_key, redact

__all__ = ["Node", "Origin", "Scalar", "as_mapping", "block_id", "plain", "shown", "spread_word", "to_node"]

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Origin:
    """A value that was written somewhere: `where` (``file:line``, ``--set key``, ``default``) and its text."""

    where: str
    text: str


@dataclass(frozen=True)
class Node:
    """One value, never changed in place.

    Attributes
    ----------
    value
        A scalar, a mapping or a list of nodes. None means "as if it were not written".
    where
        ``file:line`` of its key, or of itself in a list; ``--set key``.
    quoted
        A text that stood in quotes, so that it cannot have been meant as anything else.
    past
        What stood here before, oldest first.
    """

    value: Scalar | dict[str, Node] | list[Node]
    where: str
    quoted: bool = False
    past: tuple[Origin, ...] = ()

    @property
    def history(self) -> tuple[Origin, ...]:
        """Every value that was written here, oldest first; the last one holds."""
        return (*self.past, Origin(self.where, shown(self)))

    @property
    def name(self) -> str | None:
        """Name of the component where the node is a block that says it: a bare word, or a mapping with `name`."""
        inner = self.value.get("name") if isinstance(self.value, dict) else self
        return inner.value if inner is not None and isinstance(inner.value, str) else None


def plain(node: Node) -> Any:
    """Plain values of a node."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def to_node(value: Any, where: str, change: Callable[[str], str] = str) -> Node:
    """Turn plain values from Python into a node; `change` is applied to every text."""
    if isinstance(value, Mapping):
        return Node({str(key): to_node(child, where, change) for key, child in value.items()}, where)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return Node([to_node(child, where, change) for child in value], where)
    return Node(change(value), where, quoted=True) if isinstance(value, str) else Node(value, where)


def shown(node: Node) -> str:
    """Return the value as a reader knows it from the file, on one line, without secrets."""
    if isinstance(node.value, dict):
        items = (f"{key}: {HIDDEN if is_secret_key(key) else shown(child)}" for key, child in node.value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(node.value, list):
        return "[" + ", ".join(shown(child) for child in node.value) + "]"
    if isinstance(node.value, bool):
        return "true" if node.value else "false"
    if node.value is None:
        return "null"
    return repr(redact(node.value)) if node.quoted else str(redact(node.value))


def spread_word(node: Node) -> Node:
    """Write out a bare word: ``film`` is short for ``{name: film}``."""
    if isinstance(node.value, str):
        return replace(node, value={"name": node}, past=())
    return node


def block_id(node: Node) -> str | None:
    """Return what names a block among its siblings: its `id`, else its `name`; None where it is no block."""
    if isinstance(node.value, dict) and "id" in node.value:
        given = node.value["id"].value
        return given if isinstance(given, str) else None
    return None if node.name is None else node.name.rpartition(":")[2]


def as_mapping(node: Node) -> Node | None:
    """Turn a list of blocks into the mapping id -> block that it is short for; None where an item is no block.

    Raises
    ------
    ConfigError
        Where two blocks have one id.
    """
    if not isinstance(node.value, list):
        return None
    blocks: dict[str, Node] = {}
    for item in node.value:
        name = block_id(item)
        if name is None:
            return None
        if name in blocks:
            raise ConfigError(
                Problem(
                    what=f"two blocks have the id {name!r}, the other at {blocks[name].where}",
                    where=item.where,
                    todo=f"give one an id, {{name: {name}, id: …}}, or write a mapping from id to block",
                )
            )
        block = spread_word(item)
        assert isinstance(block.value, dict)
        blocks[name] = replace(block, value={key: child for key, child in block.value.items() if key != "id"})
    return replace(node, value=blocks)
