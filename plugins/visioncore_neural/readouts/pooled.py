"""Readout from the spatial average. B windows, C channels, T frames, H, W pixels, N units."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import ReadoutFacts
from visioncore_neural.options.readout import PooledOptions
from visioncore_neural.readouts.weighted import Weighted, products

__all__ = ["Pooled"]


class Pooled(Weighted):
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

    def weights(self) -> Tensor:
        """Weights of the channels, (N, C)."""
        return self.features

    @staticmethod
    def rows(features: Tensor) -> Tensor:
        """Average features (B, C, T, H, W) over space, (B, T, C)."""
        return features.mean(dim=(3, 4)).transpose(1, 2)

    @classmethod
    def together(cls, readouts: Sequence[Pooled], features: Tensor, sizes: Sequence[int]) -> list[Tensor]:
        """Drives of several readouts."""
        return products(readouts, [own.weights() for own in readouts], features, sizes)
