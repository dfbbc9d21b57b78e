"""Masked negative binomial loss: counts that vary more than their mean. B windows, L predicted frames, N units."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from visioncore_engine.contracts import LossFacts
from visioncore_neural.losses.masked import MaskedLoss, Predicted
from visioncore_neural.options.loss import NegativeBinomialOptions

__all__ = ["NegativeBinomial"]


class NegativeBinomial(MaskedLoss):
    """Negative log-likelihood per unit of counts of mean r and variance ``r + a r²``, with the dispersion a.

    The sum of ``(k + 1/a) log(1 + a r) - k log r`` over valid values (NB2 of Cameron & Trivedi 2013, §3.3), without the
    terms that depend on neither r nor, where it is learned, a; as a goes to 0 the Poisson loss. Where a model gives the
    logarithm of its rates, as ``<task>/log_rate``, that is taken in place of ``log(r + eps)``. Where it gives the
    logarithm of the dispersion, as ``<task>/log_dispersion``, that replaces the option and is learned: the terms
    ``log G(1/a) - log G(k + 1/a) - k log a``, with G the gamma function, are then part of the sum.
    """

    words = ("log_dispersion", "log_rate")

    def __init__(self, options: NegativeBinomialOptions, facts: LossFacts) -> None:
        super().__init__(options, facts)
        self._eps, self._log_dispersion = options.eps, math.log(options.dispersion)

    def each(self, predicted: Predicted) -> Tensor:  # noqa: D102 -- said by the base class
        rates, counts, said, _ = predicted
        log_rates = said["log_rate"] if "log_rate" in said else torch.log(rates + self._eps)
        if "log_dispersion" not in said:
            grown = functional.softplus(log_rates + self._log_dispersion)
            return (counts + math.exp(-self._log_dispersion)) * grown - counts * log_rates
        log_dispersion = said["log_dispersion"]
        # The gamma functions of large arguments differ in digits that float32 does not have.
        number, exact = torch.exp(-log_dispersion.double()), counts.double()
        constant = torch.lgamma(number) - torch.lgamma(exact + number) - exact * log_dispersion
        grown = (exact + number) * functional.softplus((log_rates + log_dispersion).double())
        return (grown - exact * log_rates + constant).to(rates.dtype)
