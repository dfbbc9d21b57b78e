"""What schedulers meet: a run of four epochs with a validation after each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from visioncore_engine.contracts import Scheduler, SchedulerFacts
from visioncore_engine.testing.case import Case

__all__ = ["SchedulerScene", "curve", "scene"]

STEPS, EPOCHS = 12, 8
_SCORES = (1.0, 0.8, 0.9, 0.85, 0.95, 0.99, 0.5, 0.6)  # better, then worse for a while, then better


@dataclass
class SchedulerScene:
    """Facts for a scheduler, and the scores that it observes after each epoch.

    Attributes
    ----------
    monitor
        Name of the value that the scheduler watches, where it watches one.
    """

    facts: SchedulerFacts = field(default_factory=lambda: SchedulerFacts(STEPS * EPOCHS, STEPS))
    monitor: str = "val/loss"

    def scores(self, epoch: int) -> Mapping[str, float]:
        """Scores of a validation."""
        return {
            "val/loss": _SCORES[epoch % len(_SCORES)],
            self.monitor: _SCORES[epoch % len(_SCORES)],
            "val/y": 1.0 / (epoch + 1.0),
            "other": 1.0 / (epoch + 1.0),
        }

    def probe(self, built: Scheduler) -> Mapping[str, Any]:
        """Factors of every step of the run and some beyond, with validations in between."""
        return {"factors": curve(built, self, 0, EPOCHS + 2)}


def curve(scheduler: Scheduler, scene: SchedulerScene, first: int, last: int) -> list[float]:
    """Factors of the steps of some epochs; what a validation found is observed after each epoch."""
    factors = []
    for epoch in range(first, last):
        factors += [scheduler.factor(step) for step in range(epoch * STEPS, (epoch + 1) * STEPS)]
        scheduler.observe(scene.scores(epoch))
    return factors


def scene(case: Case) -> SchedulerScene:
    """Make the scene."""
    monitor = getattr(case.choose().options, "monitor", "")
    return SchedulerScene(monitor=monitor or "val/loss")
