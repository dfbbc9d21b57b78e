"""Masked Bernoulli loss: whether a unit was active at all. B windows, L predicted frames, N units."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from visioncore_engine.contracts import LossFacts
from visioncore_neural.losses.masked import MaskedLoss, Predicted
from visioncore_neural.options.loss import BernoulliOptions

__all__ = ["Bernoulli"]


class Bernoulli(MaskedLoss):
    """Negative log-likelihood per unit of whether there was a response: counts above 1 count as 1.

    A rate r gives the probability ``1 - exp(-r)`` that a Poisson count is not 0 (complementary log-log link, McCullagh
    & Nelder 1989, §4.3): the sum of ``r (1 - k) - k log(1 - exp(-r - eps))``. Where a model gives logits x, as
    ``<task>/logit``, the probability is ``1 / (1 + exp(-x))``: the sum of ``log(1 + exp(x)) - k x``. Responses between
    0 and 1 are taken as probabilities.
    """

    words = ("logit",)

    def __init__(self, options: BernoulliOptions, facts: LossFacts) -> None:
        super().__init__(options, facts)
        self._eps = options.eps

    def each(self, predicted: Predicted) -> Tensor:  # noqa: D102 -- said by the base class
        rates, responses, said, _ = predicted
        active = responses.clamp(0.0, 1.0)
        if "logit" in said:
            return functional.softplus(said["logit"]) - active * said["logit"]
        return rates * (1.0 - active) - active * torch.log(-torch.expm1(-rates - self._eps))
