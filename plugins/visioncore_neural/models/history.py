"""Responses of the frames before. B windows, T frames, L predicted frames, N units, K lags."""

from __future__ import annotations

from torch import Tensor, nn

from visioncore_neural.options.model import HistoryOptions
from visioncore_neural.stages.layers import ACTIVATIONS

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
        hidden: list[nn.Module] = []
        for width in options.hidden:
            hidden += [nn.Linear(size, width), ACTIVATIONS[options.activation]()]
            size = width
        self.hidden = nn.Sequential(*hidden)
        self.output = nn.Linear(size, num_units, bias=False)  # the readout has one
        nn.init.zeros_(self.output.weight)

    def forward(self, previous: Tensor, length: int) -> Tensor:
        """Drive of the last `length` frames: previous responses (B, T, N) -> (B, length, N)."""
        recent = previous[:, previous.shape[1] - length - self._num_lags + 1 :]
        lags = recent.unfold(1, self._num_lags, 1).flatten(2)  # (B, length, N K)
        drive: Tensor = self.output(self.hidden(lags))
        return drive
