"""Side inputs as channels. B windows, C channels, T frames, H, W pixels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import ModulatorFacts
from visioncore_neural.modulators.perceptron import SidePerceptron
from visioncore_neural.options.modulator import ConcatOptions

__all__ = ["Concat"]


class Concat(nn.Module):
    """Appends an embedding of the side inputs, the same at every pixel, to the channels.

    Attributes
    ----------
    out_shape
        As every modulator.
    """

    identity_at_start = False

    def __init__(self, options: ConcatOptions, facts: ModulatorFacts) -> None:
        super().__init__()
        channels, height, width = facts.in_shape
        self.out_shape = (channels + options.num_channels, height, width)
        self.perceptron = SidePerceptron(options, facts.side, options.num_channels)

    def forward(self, features: Tensor, side: Mapping[str, Tensor]) -> Tensor:
        """Modulate: features (B, C, T, H, W) by {name: (B, T, K)}."""
        embedding = self.perceptron(side).expand(-1, -1, -1, *features.shape[3:])
        return torch.cat([features, embedding.to(features.dtype)], dim=1)
