"""Whether a run's model is the one whose weights are imported: every option that must have another value is told."""

from __future__ import annotations

from typing import Any

from visioncore_engine.errors import Problem
from visioncore_engine.options import Choice

__all__ = ["Fit"]


class Fit:
    """Compares options with what the weights need, and remembers where they differ.

    Attributes
    ----------
    problems
        One for each difference.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def same(self, key: str, given: Any, needed: Any) -> None:
        """Note an option that has another value than the weights need."""
        if given != needed:
            what = "the weights were learned with another value"
            self.problems.append(Problem(key=key, what=what, given=_word(given), todo=f"write {_word(needed)}"))

    def options(self, key: str, choice: Choice, name: str, **needed: Any) -> bool:
        """Compare a chosen component and its options; whether it is the component."""
        self.same(key, choice.name, name)
        if choice.name != name:
            return False
        for option, value in needed.items():
            self.same(f"{key}.{option}", getattr(choice.options, option), value)
        return True

    def refuse(self, key: str, what: str, todo: str = "") -> None:
        """Note anything else."""
        self.problems.append(Problem(key=key, what=what, todo=todo))


def _word(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else str(value)
