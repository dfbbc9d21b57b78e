"""Output nonlinearities: from a readout's drive to a positive rate, and back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Activation", "Elu1", "Exp", "Sigmoid", "Softplus", "make_activation"]

_MOST_LIKELY = 1.0 - 1e-3  # of a sigmoid: a higher mean has no drive, or hardly one that still learns


class Activation(ABC):
    """A strictly increasing map from the real line to positive rates."""

    @abstractmethod
    def __call__(self, drive: Tensor) -> Tensor:
        """Rate of each drive, elementwise."""

    @abstractmethod
    def inverse(self, rate: float) -> float:
        """Drive that gives `rate` (> 0)."""


class Softplus(Activation):
    """``log(1 + exp(s x)) / s``."""

    def __init__(self, sharpness: float = 1.0) -> None:
        self._sharpness = sharpness

    def __call__(self, drive: Tensor) -> Tensor:  # noqa: D102 -- said by the base class
        return functional.softplus(drive, beta=self._sharpness)

    def inverse(self, rate: float) -> float:  # noqa: D102 -- said by the base class
        # log(exp(y) - 1) = y + log(1 - exp(-y)): no overflow for large rates, no cancellation for small ones.
        scaled = rate * self._sharpness
        return (scaled + math.log(-math.expm1(-scaled))) / self._sharpness


class Sigmoid(Activation):
    """``1 / (1 + exp(-x))``."""

    def __call__(self, drive: Tensor) -> Tensor:  # noqa: D102 -- said by the base class
        return torch.sigmoid(drive)

    def inverse(self, rate: float) -> float:
        """Drive that gives `rate`; one of 0.999 or more counts as 0.999."""
        rate = min(rate, _MOST_LIKELY)
        return math.log(rate) - math.log1p(-rate)


class Exp(Activation):
    """``exp(x)``."""

    def __call__(self, drive: Tensor) -> Tensor:  # noqa: D102 -- said by the base class
        return torch.exp(drive)

    def inverse(self, rate: float) -> float:  # noqa: D102 -- said by the base class
        return math.log(rate)


class Elu1(Activation):
    """``ELU(x) + 1``: ``x + 1`` above 0 and ``exp(x)`` below."""

    def __call__(self, drive: Tensor) -> Tensor:  # noqa: D102 -- said by the base class
        # Not elu(x) + 1, which rounds to a rate of exactly 0 below -17 in float32.
        return torch.where(drive > 0, drive + 1, torch.exp(drive.clamp(max=0)))

    def inverse(self, rate: float) -> float:  # noqa: D102 -- said by the base class
        return rate - 1 if rate > 1 else math.log(rate)


def make_activation(name: str, sharpness: float | None = None) -> Activation:
    """Activation by its name in `EncoderOptions`."""
    if name == "softplus":
        return Softplus(1.0 if sharpness is None else sharpness)
    others: dict[str, type[Exp | Elu1 | Sigmoid]] = {"exp": Exp, "elu1": Elu1, "sigmoid": Sigmoid}
    return others[name]()
