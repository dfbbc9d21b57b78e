"""What becomes of each key of a foreign configuration: carried over, without effect there, or given up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from visioncore_engine.errors import nearest

__all__ = ["Block", "Ledger"]


@dataclass
class Ledger:
    """Notes on keys, in the order in which they were found.

    Attributes
    ----------
    idle
        Keys that had no effect in the system they come from, with the reason.
    lost
        Keys that cannot be carried over, with the reason and what to do.
    changed
        Keys that are carried over to something that is not quite the same.
    """

    idle: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Text for people, a line per key."""
        blocks = {
            "had no effect in VisionCore": self.idle,
            "cannot be carried over": self.lost,
            "carried over, but not the same": self.changed,
        }
        return [
            line
            for title, notes in blocks.items()
            if notes
            for line in (f"{title}:", *(f"  {key}: {why}" for key, why in notes.items()))
        ]


class Block:
    """A mapping of a foreign configuration whose keys are taken one after another.

    Parameters
    ----------
    content
        The mapping; anything else counts as an empty one.
    key
        Its dotted key, for notes.
    ledger
        Where notes go.
    """

    def __init__(self, content: Any, key: str, ledger: Ledger) -> None:
        self._content = dict(content) if isinstance(content, Mapping) else {}
        self._seen: set[str] = set()
        self.key, self.ledger = key, ledger

    def __contains__(self, name: str) -> bool:
        return name in self._content

    def take(self, name: str, default: Any = None) -> Any:
        """Value of a key that is carried over; `default` where it is not there or null."""
        self._seen.add(name)
        value = self._content.get(name)
        return default if value is None else value

    def block(self, name: str) -> Block:
        """Mapping below a key."""
        return Block(self.take(name), self.place(name), self.ledger)

    def place(self, name: str) -> str:
        """Dotted key of a name in this block."""
        return f"{self.key}.{name}" if self.key else name

    def idle(self, why: str, *names: str) -> None:
        """Note keys that had no effect, where they are there."""
        self._note(self.ledger.idle, why, names)

    def lose(self, why: str, *names: str) -> None:
        """Note keys that cannot be carried over, where they are there and ask for something."""
        self._note(self.ledger.lost, why, names)

    def change(self, why: str, *names: str) -> None:
        """Note keys that become something else, where they are there and ask for something."""
        self._note(self.ledger.changed, why, names)

    def _note(self, notes: dict[str, str], why: str, names: tuple[str, ...]) -> None:
        for name in names:
            self._seen.add(name)
            asks = self._content.get(name) not in (None, "none", [], {})
            if name in self._content and (asks or notes is self.ledger.idle):
                notes[self.place(name)] = why

    def close(self) -> None:
        """Note what nobody took: no key of VisionCore, so that it had no effect there."""
        for name in self._content:
            if name not in self._seen:
                close = nearest(str(name), self._seen)
                meant = f"; {close!r} was meant?" if close else ""
                self.ledger.idle[self.place(str(name))] = f"it is no key that VisionCore reads{meant}"
