"""The old validation metric, frozen: predictions, responses and masks are kept for a whole validation, then joined.

Bits per spike of each unit over its mean count on the scored frames, in float32, as the old aggregator had it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["OldBitsPerSpike"]

_EPS = 1e-8


class OldBitsPerSpike:
    """Stores every batch and concatenates at the end."""

    def __init__(self) -> None:
        self._rates: list[Tensor] = []
        self._counts: list[Tensor] = []
        self._valid: list[Tensor] = []

    def update(self, rates: Tensor, counts: Tensor, valid: Tensor) -> None:
        """Keep a batch: (B, N) each, `valid` as 0 and 1, (B, N) or (B, 1)."""
        self._rates.append(rates.detach().cpu())
        self._counts.append(counts.detach().cpu())
        self._valid.append(valid.detach().cpu())

    def compute(self) -> Tensor:
        """Bits per spike of each unit, (N,)."""
        rates, counts, valid = torch.cat(self._rates), torch.cat(self._counts), torch.cat(self._valid)
        null = (counts * valid).sum(0) / valid.expand_as(counts).sum(0)
        model = counts * torch.log(rates + _EPS) - rates
        constant = counts * torch.log(null + _EPS) - null
        spikes = (counts * valid).sum(0).clamp(min=1)
        bits: Tensor = ((model - constant) * valid).sum(0) / spikes / math.log(2)
        return bits
