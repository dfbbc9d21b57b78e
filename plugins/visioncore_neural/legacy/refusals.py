"""What in a model file cannot be carried over exactly, and blocks of such a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visioncore_engine.errors import Problem

__all__ = ["Refusals", "block_of", "triple"]


class Refusals:
    """Collects everything that is refused, each by its key."""

    def __init__(self) -> None:
        self._problems: list[dict[str, str]] = []

    def add(self, key: str, what: str, todo: str = "train it anew here: `visioncore import-config`") -> None:
        """Refuse a key."""
        self._problems.append({"key": key, "what": f"cannot be carried over exactly: {what}", "todo": todo})

    def word(self, content: Mapping[str, Any], slot: str, usual: str, known: tuple[str, ...]) -> str:
        """Type of a slot, which is refused where it is none of those that are known."""
        given = str(block_of(content, slot).get("type") or usual).lower()
        if given not in known:
            self.add(f"{slot}.type", f"{given!r} is none of {', '.join(known)}")
        return given

    def problems(self, where: str) -> tuple[Problem, ...]:
        """All of them, for a place."""
        return tuple(Problem(where=where, **problem) for problem in self._problems)


def block_of(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Mapping below a key; an empty one where there is none."""
    found = content.get(name)
    return found if isinstance(found, Mapping) else {}


def triple(given: Any, usual: int) -> tuple[int, int, int]:
    """[time, height, width] of a number for all three, or of a list of three."""
    if given is None:
        return (usual,) * 3
    if isinstance(given, int):
        return (given,) * 3
    time, height, width = (int(value) for value in given)
    return time, height, width
