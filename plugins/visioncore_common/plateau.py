"""The scheduler that watches a score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visioncore_common.options.scheduler import PlateauOptions
from visioncore_common.patience import Patience, monitored
from visioncore_engine.contracts import SchedulerFacts

__all__ = ["Plateau"]


class Plateau:
    """Multiplies the rates when the monitored score has not improved for more than `patience` validations.

    As `torch.optim.lr_scheduler.ReduceLROnPlateau` with an absolute threshold. A score that is not a number is no
    improvement.
    """

    def __init__(self, options: PlateauOptions, facts: SchedulerFacts) -> None:
        del facts  # nothing depends on the length of the run
        self._options = options
        self._patience = Patience(options.mode, options.min_delta)
        self._cooldown = 0
        self._factor = 1.0

    def factor(self, step: int) -> float:
        """Factor since the last validation."""
        return self._factor

    def observe(self, scores: Mapping[str, float]) -> None:
        """Take the scores of a validation.

        Raises
        ------
        ConfigError
            Where the monitored value was not logged.
        """
        options = self._options
        waited = self._patience.observe(monitored(scores, options.monitor, "scheduler.monitor"))
        if self._cooldown > 0:
            self._cooldown -= 1
            self._patience.waited = 0
        elif waited > options.patience:
            self._factor = max(self._factor * options.gamma, min(options.final_factor, self._factor))
            self._cooldown = options.cooldown
            self._patience.waited = 0

    def state(self) -> dict[str, Any]:
        """Best score, validations since, cooldown left, factor."""
        return {**self._patience.state(), "cooldown": self._cooldown, "factor": self._factor}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a state."""
        self._patience.restore(state)
        self._cooldown, self._factor = int(state["cooldown"]), float(state["factor"])
