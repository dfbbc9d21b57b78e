"""Responses of the frames before. B windows, T frames, L predicted frames, N units, K lags."""

from __future__ import annotations

from torch import Tensor, nn

from visioncore_neural.options.model import HistoryOptions
from visioncore_neural.stages.layers import ACTIVATIONS
from visioncore_neural.stages.weights import BoundedLinear

__all__ = ["History"]


class History(nn.Module):
    """Perceptron from the last K previous responses of all units to a drive of each; its output layer starts at 0.

    Parameters
    ----------
    options
        What the user wrote.
    num_units
        N.
    """

    def __init__(self, options: HistoryOptions, num_units: int) -> None:
        super().__init__()
        self._num_lags = options.num_lags
        size = options.num_lags * num_units
        linear = BoundedLinear if options.spectral_norm else nn.Linear
        hidden: list[nn.Module] = []
        for width in options.hidden:
            hidden += [linear(size, width), ACTIVATIONS[options.activation]()]
            size = width
        self.hidden = nn.Sequential(*hidden)
        self.output = linear(size, num_units, bias=False)  # the readout has one
        nn.init.zeros_(self.output.weight)

    def forward(self, previous: Tensor, length: int) -> Tensor:
        """Drive of the last `length` frames: previous responses (B, T, N) -> (B, length, N)."""
        recent = previous[:, previous.shape[1] - length - self._num_lags + 1 :]
        lags = recent.unfold(1, self._num_lags, 1).flatten(2)  # (B, length, N K)
        drive: Tensor = self.output(self.hidden(lags))
        return drive
