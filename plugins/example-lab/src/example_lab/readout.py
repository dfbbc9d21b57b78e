"""The readout `factorized`. B windows, C channels, T frames, H, W pixels, N columns."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from example_lab.options import FactorizedOptions
from visioncore_engine.contracts import ReadoutFacts

__all__ = ["Factorized"]


class Factorized(nn.Module):
    """Each column reads the features through a map in space times weights over channels, and a bias.

    After Klindt, Ecker, Euler & Bethge (2017), "Neural system identification for large populations separating what and
    where". The maps may take any sign; an `l1` regularizer on ``readouts.*.space`` makes them local.

    Parameters
    ----------
    options
        What the run file says.
    facts
        Shape of the features (C, H, W), and the target.

    Attributes
    ----------
    space
        Maps (N, H W).
    features
        Channel weights (N, C).
    bias
        (N,).
    """

    def __init__(self, options: FactorizedOptions, facts: ReadoutFacts) -> None:
        super().__init__()
        channels, height, width = facts.in_shape
        size = facts.target.size
        self.space = nn.Parameter(torch.randn(size, height * width) * options.init_std)
        self.features = nn.Parameter(torch.randn(size, channels) * options.init_std)
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, features: Tensor) -> Tensor:
        """Read: (B, C, T, H, W) -> (B, T, N)."""
        seen = torch.einsum("bctp,np->bctn", features.flatten(3), self.space)
        return torch.einsum("bctn,nc->btn", seen, self.features) + self.bias
