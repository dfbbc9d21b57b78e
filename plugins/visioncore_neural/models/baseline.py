"""A rate that a unit always has. N units."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["Baseline"]


class Baseline(nn.Module):
    """A positive rate per unit, added to all of its rates.

    Attributes
    ----------
    log_rate
        (N,).
    """

    def __init__(self, num_units: int, start: float) -> None:
        super().__init__()
        self.log_rate = nn.Parameter(torch.full((num_units,), math.log(start)))

    def forward(self, rates: Tensor) -> Tensor:
        """Add to rates (B, L, N)."""
        return rates + self.log_rate.exp()
