"""Counting: what was checked, and that nothing was left out without a word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from visioncore_engine.errors import PluginError, Problem

if TYPE_CHECKING:
    from visioncore_engine.testing.case import Case
    from visioncore_engine.testing.checking import Check

__all__ = ["Tally", "refuse_excuses"]

_MOST_EXPECTED = 3  # at most one check in three may be expected to fail


def refuse_excuses(case: Case, checks: Sequence[Check]) -> None:
    """Refuse a component of which more checks are expected to fail than a third.

    Raises
    ------
    PluginError
        With the numbers.
    """
    if len(case.expected) * _MOST_EXPECTED > len(checks):
        raise PluginError(
            Problem(
                what=f"{case}: {len(case.expected)} of {len(checks)} checks are expected to fail",
                todo="at most a third may be; mend the component",
            )
        )


@dataclass
class Tally:
    """What became of the checks of a session."""

    outcomes: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def note(self, component: str, check: str, outcome: str) -> None:
        """Note an outcome of one test, or of its setup: ``passed``, ``failed``, ``skipped`` or ``expected``."""
        self.outcomes.setdefault((component, check), set()).add(outcome)

    def _with(self, outcome: str) -> list[str]:
        return [f"{component}-{check}" for (component, check), found in self.outcomes.items() if outcome in found]

    @property
    def skipped(self) -> list[str]:
        """Checks that were skipped."""
        return self._with("skipped")

    def lines(self) -> Iterable[str]:
        """What to tell at the end of a session; nothing where no component was checked."""
        if not self.outcomes:
            return
        components = len({component for component, _ in self.outcomes})
        expected, failed = len(self._with("expected")), len(self._with("failed"))
        counts = [_count(components, "component"), _count(len(self.outcomes), "check")]
        counts += [_count(expected, "expected failure")] if expected else []
        counts += [f"{failed} failed"] if failed else []
        yield f"conformance: {', '.join(counts)}"
        if self.skipped:
            yield f"conformance: a check may not be skipped: {', '.join(self.skipped)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
