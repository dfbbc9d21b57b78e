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

    With ``compat: visioncore`` a prediction's run sees the embedding of the predicted frame at each of its frames.

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
        self.unit = ConvGRU(options, StageFacts((channels + options.num_embedding, height, width), dt=None))
        self._held = options.compat != "none"
        self.out_shape, self.history, self.burn_in = self.unit.out_shape, self.unit.history, self.unit.burn_in

    def forward(self, features: Tensor, side: Mapping[str, Tensor]) -> Tensor:
        """Modulate: features (B, C, T, H, W) by {name: (B, T, K)} -> (B, D, T - history, H, W)."""
        embedding = self.perceptron(side).expand(-1, -1, -1, *features.shape[3:])
        if self._held:
            return self.unit.forward_held(features, embedding[:, :, self.history :].to(features.dtype))
        states: Tensor = self.unit(torch.cat([features, embedding.to(features.dtype)], dim=1))
        return states
