"""How far a run has come on its planned course, where it is to end sooner than planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Pace"]


@dataclass(frozen=True)
class Pace:
    """A course of `total` planned steps that is made in `end` steps.

    Until `since`, `passed` planned steps were made; from there on each step passes as many as bring the course to its
    end at `end`. So a curve over the course never jumps, whenever the end is moved.
    """

    total: int
    end: int
    since: int = 0
    passed: float = 0.0

    @classmethod
    def planned(cls, total: int) -> Pace:
        """Each step passes one planned step."""
        return cls(total, total)

    @classmethod
    def restored(cls, state: Mapping[str, Any] | None, total: int) -> Pace:
        """What `state` returned; a run that is planned for another length now starts over with that."""
        own = cls.planned(total) if state is None else cls(**state)
        return own if own.total == total else cls.planned(total)

    def at(self, step: int) -> float:
        """Planned steps that were passed before a step; exactly `step` where the end was never moved."""
        return self.passed + (step - self.since) * (self.total - self.passed) / (self.end - self.since)

    def ending(self, end: int, step: int) -> Pace:
        """The same course up to `step`, and its rest in the steps until `end`.

        Raises
        ------
        ValueError
            Where the end would lie before the next step, or beyond the planned one.
        """
        if not step < end <= self.total:
            raise ValueError(f"a run of {self.total} planned steps cannot end at step {end} when {step} are made")
        return Pace(self.total, end, step, self.at(step))

    def state(self) -> dict[str, Any]:
        """Plain values that `restored` takes back."""
        return asdict(self)
