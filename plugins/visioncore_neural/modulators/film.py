"""Feature-wise linear modulation. B windows, C channels, T frames, H, W pixels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import ModulatorFacts
from visioncore_neural.modulators.perceptron import SidePerceptron
from visioncore_neural.options.modulator import FilmOptions

__all__ = ["Film"]


class Film(nn.Module):
    """``scale * features + shift`` per channel and frame, both from a perceptron over the side inputs.

    (Perez et al., AAAI 2018.) The output layer starts with weight 0 and bias 1 for the scale, 0 for the shift: the
    modulator is exactly the identity until it has learned, and it may scale down as well as up.

    Attributes
    ----------
    out_shape
        As every modulator.
    """

    identity_at_start = True

    def __init__(self, options: FilmOptions, facts: ModulatorFacts) -> None:
        super().__init__()
        channels = facts.in_shape[0]
        self.out_shape = facts.in_shape
        self.perceptron = SidePerceptron(options, facts.side, 2 * channels)
        with torch.no_grad():
            self.perceptron.output.weight.zero_()
            self.perceptron.output.bias.zero_()[:channels] = 1.0

    def forward(self, features: Tensor, side: Mapping[str, Tensor]) -> Tensor:
        """Modulate: features (B, C, T, H, W) by {name: (B, T, K)}."""
        scale, shift = self.perceptron(side).chunk(2, dim=1)
        modulated: Tensor = features * scale + shift
        return modulated
