"""The scheduler `trapezoid`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from example_lab.options import TrapezoidOptions
from visioncore_engine.contracts import SchedulerFacts
from visioncore_engine.errors import ConfigError, Problem

__all__ = ["Trapezoid"]


class Trapezoid:
    """Up in `warmup_steps` straight steps, level, then down to 0 over the last part of the run.

    A pure function of the step: there is nothing to save.

    Parameters
    ----------
    options
        What the run file says.
    facts
        How long the run is.

    Raises
    ------
    ConfigError
        Where the run has no planned end, or is too short for both slopes.
    """

    def __init__(self, options: TrapezoidOptions, facts: SchedulerFacts) -> None:
        if facts.total_steps is None:
            raise ConfigError(Problem(what="a cool-down needs a run with an end", todo="set trainer.max_steps"))
        self._warmup = options.warmup_steps
        self._total = facts.total_steps
        self._cooldown = round(options.cooldown * facts.total_steps)
        if self._warmup + self._cooldown > self._total:
            raise ConfigError(
                Problem(
                    what=f"{self._warmup} steps of warm-up and {self._cooldown} of cool-down do not fit "
                    f"into a run of {self._total} steps",
                    key="scheduler.warmup_steps",
                    given=str(self._warmup),
                    todo=f"at most {self._total - self._cooldown} fit",
                )
            )

    def factor(self, step: int) -> float:
        """Factor on the base rates for optimizer step `step`; the last step of the run still moves."""
        up = (step + 1) / self._warmup if step < self._warmup else 1.0
        left = self._total - step
        down = left / (self._cooldown + 1) if left <= self._cooldown else 1.0
        return max(0.0, min(up, down))

    def observe(self, scores: Mapping[str, float]) -> None:
        """Ignore the scores of validations."""

    def state(self) -> dict[str, Any]:
        """Nothing has to be kept."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing was kept."""
