"""The adapter `area_pool`. B windows, C channels, T frames, H, W pixels, P pixels of the grid."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from example_lab.options import AreaPoolOptions
from visioncore_engine.contracts import AdapterFacts

__all__ = ["AreaPool"]


class AreaPool(nn.Module):
    """Brings frames of any size to one grid, and their contrast to one scale.

    Each pixel of the grid is the mean over the pixels that lie under it, times a learned gain of its channel, which
    starts at 1.

    Parameters
    ----------
    options
        What the run file says.
    facts
        Shape of the group's frames (C, H, W).

    Attributes
    ----------
    gain
        (C, 1, 1, 1).
    """

    def __init__(self, options: AreaPoolOptions, facts: AdapterFacts) -> None:
        super().__init__()
        self.out_shape = (facts.in_shape[0], options.grid_size, options.grid_size)
        self.gain = nn.Parameter(torch.ones(facts.in_shape[0], 1, 1, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        """Pool: (B, C, T, H, W) -> (B, C, T, P, P)."""
        return nn.functional.adaptive_avg_pool3d(inputs, (None, *self.out_shape[1:])) * self.gain
