"""What the past did not foretell. B windows, C channels, T frames, H, W pixels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import ModulatorFacts, StageFacts
from visioncore_neural.modulators.perceptron import SidePerceptron
from visioncore_neural.options.modulator import PredictiveCodingOptions
from visioncore_neural.stages.conv_gru import ConvGRU

__all__ = ["PredictiveCoding"]


class PredictiveCoding(nn.Module):
    """Every frame of the features is predicted from the frames before it and from behavior up to it.

    A `ConvGRU` runs over the features of the frame before and an embedding of the side inputs of this frame; a
    convolution of a single tap reads the prediction from its state. The output is ``error = actual - predicted``, or
    actual and error beside each other. The mean square of the error is an auxiliary loss: without it the prediction
    would learn whatever helps the readouts.

    Attributes
    ----------
    auxiliary
        ``{"prediction_error": weight}``.
    out_shape, history, burn_in
        As every modulator; the first frame has no past, so the history is one more than the recurrent unit's.
    """

    identity_at_start = False

    def __init__(self, options: PredictiveCodingOptions, facts: ModulatorFacts) -> None:
        super().__init__()
        channels, height, width = facts.in_shape
        self._inputs = options.inputs
        self._with_actual = options.output == "actual_and_error"
        self.auxiliary = {"prediction_error": options.weight}
        self.perceptron = SidePerceptron(options, facts.side, options.num_embedding)
        self.unit = ConvGRU(options, StageFacts((channels + options.num_embedding, height, width), dt=None))
        self.output = nn.Conv3d(options.hidden_channels, channels, 1)
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]  # a convolution with its default has a bias
        self.out_shape = (2 * channels if self._with_actual else channels, height, width)
        self.history, self.burn_in = self.unit.history + 1, self.unit.burn_in

    def predict(self, features: Tensor, side: Mapping[str, Tensor]) -> Tensor:
        """Predict frames `history` … T - 1 of the features: (B, C, T - history, H, W)."""
        present = {name: side[name][:, 1:] for name in self._inputs}
        embedding = self.perceptron(present).expand(-1, -1, -1, *features.shape[3:])
        states = self.unit(torch.cat([features[:, :, :-1], embedding.to(features.dtype)], dim=1))
        predicted: Tensor = self.output(states)
        return predicted

    def forward(self, features: Tensor, side: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Modulate: features (B, C, T, H, W) by {name: (B, T, K)} -> (B, C', T - history, H, W), and the squared error.

        The auxiliary term is the mean over channels and pixels, (B, T - history).
        """
        actual = features[:, :, self.history :]
        error = actual - self.predict(features, side)
        output = torch.cat([actual, error], dim=1) if self._with_actual else error
        exact = error.to(torch.promote_types(error.dtype, torch.float32))  # under autocast too
        return output, {"prediction_error": exact.square().mean(dim=(1, 3, 4))}
