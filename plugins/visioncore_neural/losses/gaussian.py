"""Masked squared error. B windows, L predicted frames, N units."""

from __future__ import annotations

from torch import Tensor

from visioncore_engine.contracts import LossFacts
from visioncore_neural.losses.masked import MaskedLoss, Predicted, means_of
from visioncore_neural.options.loss import GaussianOptions

__all__ = ["Gaussian"]


class Gaussian(MaskedLoss):
    """Squared error over a fixed variance per unit: the sum of ``(rate - k)² / variance`` over valid values.

    Up to a factor of 2 and terms that do not depend on the model, the negative log-likelihood of a normal distribution
    whose variance is not learned: 1, which is the mean squared error, or the unit's mean training response, as of a
    Poisson process.
    """

    def __init__(self, options: GaussianOptions, facts: LossFacts) -> None:
        super().__init__(options, facts)
        self._precisions: dict[str, Tensor] = {}
        if options.variance == "mean":
            self._precisions = {
                group.name: means_of(group, "loss.variance").clamp(min=options.rate_floor).reciprocal()
                for group in facts.groups
            }

    def each(self, predicted: Predicted) -> Tensor:  # noqa: D102 -- said by the base class
        errors = (predicted.rates - predicted.responses).square()
        if not self._precisions:
            return errors
        return errors * self._precisions[predicted.group].to(errors.device, errors.dtype)
