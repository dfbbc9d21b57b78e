"""Weights within bounds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from visioncore_common.options.regularizer import ClampOptions
from visioncore_engine.contracts import Clock, RegularizerFacts
from visioncore_engine.schedule import value_at

__all__ = ["Clamp"]


class Clamp:
    """Brings every value that is below `min` or above `max` back to that bound after each optimizer step.

    It is the bounds that move in time, from one to the other, and not the strength: what lies within them is left alone
    at any moment.
    """

    def __init__(self, options: ClampOptions, facts: RegularizerFacts) -> None:
        del facts  # the engine hands over what the step moved
        self._options = options
        self.at(Clock(0, 0.0, 0.0))

    def at(self, clock: Clock) -> None:
        """Take the bounds of a moment of training."""
        low, high = self._options.min, self._options.max
        self._low = None if low is None else value_at(low, clock)
        self._high = None if high is None else value_at(high, clock)

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """Return None: nothing is added to the loss."""
        return None

    @torch.no_grad()
    def proximal(self, parameters: Mapping[str, Tensor], strength: float, rates: Mapping[str, float]) -> None:
        """Move values `strength` of the way to their bound; those that the step could not move keep still."""
        for name, parameter in parameters.items():
            if parameter.requires_grad and rates[name] > 0:
                parameter.lerp_(parameter.clamp(self._low, self._high), min(strength, 1.0))
