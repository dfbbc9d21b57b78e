"""Factorised readout. B windows, C channels, T frames, H, W pixels, N units."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import ReadoutFacts
from visioncore_neural.options.readout import FactorizedOptions
from visioncore_neural.readouts.weighted import Weighted, products

__all__ = ["Factorized"]


class Factorized(Weighted):
    """Each unit has a free mask in space and weights of the channels; their product reads the features.

    (Klindt, Ecker, Euler & Bethge, NeurIPS 2017.) A sparse mask needs a regularizer on ``readouts.*.space``.

    Parameters
    ----------
    options
        What the user wrote.
    facts
        Shape of the features, and number of units.

    Attributes
    ----------
    features
        Channel weights (N, C), normal with standard deviation 1 / C at the start.
    space
        (N, H, W), at the start 1 / (H W) with noise: the spatial average.
    bias
        (N,).
    """

    def __init__(self, options: FactorizedOptions, facts: ReadoutFacts) -> None:
        super().__init__()
        channels, height, width = facts.in_shape
        num_units = facts.target.size
        self._nonnegative = options.nonnegative
        noise = options.init_noise * torch.randn(num_units, height, width)
        self.features = nn.Parameter(torch.randn(num_units, channels) / channels)
        self.space = nn.Parameter((1 + noise) / (height * width))
        self.bias = nn.Parameter(torch.zeros(num_units))

    def mask(self) -> Tensor:
        """Masks in space, (N, H, W)."""
        # Not abs, whose gradient at 0 is 0: a weight that a regularizer has set to 0 could never come back.
        return torch.where(self.space >= 0, self.space, -self.space) if self._nonnegative else self.space

    def weights(self) -> Tensor:
        """Mask times channel weight, (N, H W C)."""
        return (self.mask().unsqueeze(-1) * self.features[:, None, None, :]).flatten(1)

    @classmethod
    def together(cls, readouts: Sequence[Factorized], features: Tensor, sizes: Sequence[int]) -> list[Tensor]:
        """Drives of several readouts."""
        return products(readouts, [own.weights() for own in readouts], features, sizes)
