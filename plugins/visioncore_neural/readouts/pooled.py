"""Readout from the spatial average. B windows, C channels, T frames, H, W pixels, N units."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import ReadoutFacts
from visioncore_neural.options.readout import PooledOptions

__all__ = ["Pooled"]


class Pooled(nn.Module):
    """Each unit weighs the channels, averaged over space; for features without space a plain linear readout.

    Attributes
    ----------
    features
        Channel weights (N, C), normal with standard deviation 1 / C at the start.
    bias
        (N,).
    """

    def __init__(self, options: PooledOptions, facts: ReadoutFacts) -> None:
        super().__init__()
        del options  # it has none
        channels = facts.in_shape[0]
        self.features = nn.Parameter(torch.randn(facts.target.size, channels) / channels)
        self.bias = nn.Parameter(torch.zeros(facts.target.size))

    def forward(self, features: Tensor) -> Tensor:
        """Drive of every unit in every frame: (B, C, T, H, W) -> (B, T, N)."""
        pooled = features.mean(dim=(3, 4)).transpose(1, 2)
        return nn.functional.linear(pooled, self.features) + self.bias
