"""Masked Poisson loss. B windows, L predicted frames, N units."""

from __future__ import annotations

import torch
from torch import Tensor

from visioncore_engine.contracts import LossFacts
from visioncore_neural.losses.masked import MaskedLoss, Predicted
from visioncore_neural.options.loss import PoissonOptions

__all__ = ["Poisson"]


class Poisson(MaskedLoss):
    """Poisson negative log-likelihood per unit: the sum of ``rate - k log(rate + eps)`` over valid values.

    ``log k!`` is left out, it does not depend on the model. Where a model gives the logarithm of its rates, as
    ``<task>/log_rate``, that is taken in place of ``log(rate + eps)``: it has a gradient at any rate.
    """

    words = ("log_rate",)

    def __init__(self, options: PoissonOptions, facts: LossFacts) -> None:
        super().__init__(options, facts)
        self._eps = options.eps

    def each(self, predicted: Predicted) -> Tensor:  # noqa: D102 -- said by the base class
        rates, counts, said, _ = predicted
        log_rates = said["log_rate"] if "log_rate" in said else torch.log(rates + self._eps)
        return rates - counts * log_rates
