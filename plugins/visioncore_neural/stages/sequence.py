"""Recurrent layers without neighbours. B windows, C channels, T frames, H, W pixels, D hidden channels."""

from __future__ import annotations

from torch import Tensor, nn

from visioncore_engine.contracts import StageFacts
from visioncore_neural.options.recurrent import GRUOptions, LSTMOptions, SequenceOptions
from visioncore_neural.stages.unrolling import per_prediction
from visioncore_neural.stages.weights import start_recurrent

__all__ = ["GRU", "LSTM"]


class _Sequence(nn.Module):
    """What both kinds share: sequences are cut from the features, run, and put back.

    Attributes
    ----------
    layers
        The `nn.GRU` or `nn.LSTM`; all weights are made when it is built.
    out_shape, history, burn_in
        As every stage; see `ConvGRU` for `unroll`.
    """

    layers: nn.GRU | nn.LSTM

    def __init__(self, options: SequenceOptions, facts: StageFacts) -> None:
        super().__init__()
        channels, height, width = facts.in_shape
        self._whole = options.over == "frame"
        self._restart = options.unroll == "per_prediction"
        self._size = channels * height * width if self._whole else channels
        space = (1, 1) if self._whole else (height, width)
        self.out_shape = (options.hidden_channels, *space)
        self.history = options.burn_in if self._restart else 0
        self.burn_in = 0 if self._restart else options.burn_in

    def forward(self, features: Tensor) -> Tensor:
        """Run the stage: (B, C, T, H, W) -> (B, D, T - history, H', W')."""
        if self._whole:
            features = features.permute(0, 1, 3, 4, 2).flatten(1, 3)[..., None, None]  # (B, C H W, T, 1, 1)
        if self._restart:
            return per_prediction(lambda windows: self._run(windows)[:, :, -1], features, self.history + 1)
        return self._run(features)

    def _run(self, features: Tensor) -> Tensor:
        num_windows, _, num_frames, height, width = features.shape
        sequences = features.permute(0, 3, 4, 2, 1).reshape(-1, num_frames, self._size)
        states: Tensor = self.layers(sequences)[0]  # (B H W, T, D)
        return states.reshape(num_windows, height, width, num_frames, -1).permute(0, 4, 3, 1, 2)


class GRU(_Sequence):
    """Gated recurrent unit (Cho et al., 2014) in the form of `nn.GRU`, state 0 before its first frame."""

    def __init__(self, options: GRUOptions, facts: StageFacts) -> None:
        super().__init__(options, facts)
        hidden = options.hidden_channels
        self.layers = nn.GRU(self._size, hidden, options.num_layers, batch_first=True)
        start_recurrent(
            self.layers, slice(hidden, 2 * hidden)
        )  # reset, update, new: an update gate near 1 keeps the state


class LSTM(_Sequence):
    """Long short-term memory (Hochreiter & Schmidhuber, 1997) as `nn.LSTM` has it, state 0 before its first frame."""

    def __init__(self, options: LSTMOptions, facts: StageFacts) -> None:
        super().__init__(options, facts)
        hidden = options.hidden_channels
        self.layers = nn.LSTM(self._size, hidden, options.num_layers, batch_first=True)
        start_recurrent(self.layers, slice(hidden, 2 * hidden))  # input, forget, cell, output
