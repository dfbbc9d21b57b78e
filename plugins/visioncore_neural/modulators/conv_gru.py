"""Side inputs and features through a recurrent unit. B windows, C channels, T frames, H, W pixels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import ModulatorFacts, StageFacts
from visioncore_neural.modulators.perceptron import SidePerceptron
from visioncore_neural.options.modulator import ConvGRUModulatorOptions
from visioncore_neural.stages.conv_gru import ConvGRU

__all__ = ["ConvGRUModulator"]


class ConvGRUModulator(nn.Module):
    """A `ConvGRU` over the features and an embedding of the side inputs at every pixel; its state is the output.

    With ``compat: visioncore`` each of the `steps` of a prediction sees the embedding of the predicted frame.

    Attributes
    ----------
    out_shape, history, burn_in
        As every modulator; history and burn-in are those of the recurrent unit.
    """

    identity_at_start = False

    def __init__(self, options: ConvGRUModulatorOptions, facts: ModulatorFacts) -> None:
        super().__init__()
        channels, height, width = facts.in_shape
        self.perceptron = SidePerceptron(options, facts.side, options.num_embedding)
        self._num_steps = options.num_steps or 1
        num_channels = channels + self._num_steps * options.num_embedding
        self.unit = ConvGRU(options, StageFacts((num_channels, height, width), dt=None))
        self.out_shape, self.history, self.burn_in = self.unit.out_shape, self.unit.history, self.unit.burn_in

    def forward(self, features: Tensor, side: Mapping[str, Tensor]) -> Tensor:
        """Modulate: features (B, C, T, H, W) by {name: (B, T, K)} -> (B, D, T - history, H, W)."""
        embedding = self.perceptron(side).expand(-1, -1, -1, *features.shape[3:])
        seen = torch.unflatten(features, 1, (self._num_steps, -1))  # (B, S, C / S, T, H, W)
        beside = embedding[:, None].expand(-1, self._num_steps, *[-1] * 4).to(features.dtype)
        states: Tensor = self.unit(torch.cat([seen, beside], dim=2).flatten(1, 2))
        return states
