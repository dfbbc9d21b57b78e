"""A gain between two bounds. B windows, C channels, T frames, H, W pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import ModulatorFacts
from visioncore_neural.modulators.perceptron import SidePerceptron
from visioncore_neural.options.modulator import GainOptions

__all__ = ["Gain"]


class Gain(nn.Module):
    """Features times ``max_gain ** tanh(u)``, u from a perceptron over the side inputs.

    The gain lies between ``1 / max_gain`` and `max_gain`, so that it suppresses as far as it enhances. The output layer
    starts at 0: the modulator is exactly the identity until it has learned.

    Attributes
    ----------
    out_shape
        As every modulator.
    """

    identity_at_start = True

    def __init__(self, options: GainOptions, facts: ModulatorFacts) -> None:
        super().__init__()
        self.out_shape = facts.in_shape
        self._log_max = math.log(options.max_gain)
        self.perceptron = SidePerceptron(options, facts.side, facts.in_shape[0] if options.per_channel else 1)
        nn.init.zeros_(self.perceptron.output.weight)
        nn.init.zeros_(self.perceptron.output.bias)

    def forward(self, features: Tensor, side: Mapping[str, Tensor]) -> Tensor:
        """Modulate: features (B, C, T, H, W) by {name: (B, T, K)}."""
        return features * torch.exp(self._log_max * torch.tanh(self.perceptron(side)))
