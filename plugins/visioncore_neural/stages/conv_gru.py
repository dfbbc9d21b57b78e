"""Convolutional gated recurrent unit. B windows, C channels, T frames, H, W pixels, D hidden channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import StageFacts
from visioncore_engine.errors import ConfigError, Problem
from visioncore_neural.options.recurrent import ConvGRUUnitOptions
from visioncore_neural.stages.unrolling import per_prediction

__all__ = ["ConvGRU"]


class ConvGRU(nn.Module):
    """GRU over time with convolutions in place of products (Ballas et al., 2016), state 0 before its first frame.

    ``r, z = sigmoid(W x + U h)``, ``n = tanh(W x + U (r h))``, ``h <- (1 - z) n + z h``: an update gate z near 1 keeps
    the state. Its bias starts at 1, the other biases at 0; state weights U start orthogonal, input weights W with
    Xavier's variance. All weights are made when it is built.

    ``stream`` runs once through the window. It declares `burn_in`: frames that the caller leaves out of its output.
    ``per_prediction`` starts anew `burn_in` frames before every output frame; then `history` is all that an output
    frame sees, and windows of any length give the same predictions, at burn_in times the cost. With
    ``compat: visioncore`` the channels of a frame are those of `steps` steps, one after another, and every output frame
    is the last state of a run through its own.

    Attributes
    ----------
    out_shape, history, burn_in
        As every stage.
    """

    def __init__(self, options: ConvGRUUnitOptions, facts: StageFacts) -> None:
        super().__init__()
        channels, height, width = facts.in_shape
        hidden = self._hidden = options.hidden_channels
        kernel = (options.kernel_size if height > 1 else 1, options.kernel_size if width > 1 else 1)
        padding = (kernel[0] // 2, kernel[1] // 2)
        self._restart = options.unroll == "per_prediction"
        self._num_steps = options.num_steps
        self.out_shape = (hidden, height, width)
        self.history = options.burn_in if self._restart else 0
        self.burn_in = 0 if self._restart else options.burn_in
        if options.num_steps is not None:
            self.burn_in, channels = 0, _per_step(channels, options.num_steps)
        self.inputs = nn.Conv3d(channels, 3 * hidden, (1, *kernel), padding=(0, *padding))
        self.gates = nn.Conv2d(hidden, 2 * hidden, kernel, padding=padding, bias=False)
        self.candidate = nn.Conv2d(hidden, hidden, kernel, padding=padding, bias=False)
        nn.init.xavier_uniform_(self.inputs.weight)
        for weight in (*torch.split(self.gates.weight.data, hidden), self.candidate.weight.data):
            nn.init.orthogonal_(weight)
        assert self.inputs.bias is not None
        with torch.no_grad():
            self.inputs.bias.zero_()[hidden : 2 * hidden] = 1.0

    def forward(self, features: Tensor) -> Tensor:
        """Run the stage: (B, C, T, H, W) -> (B, D, T - history, H, W)."""
        if self._num_steps is not None:
            frames = features.transpose(1, 2)
            runs = torch.unflatten(frames.flatten(0, 1), 1, (self._num_steps, -1)).transpose(1, 2)
            return torch.unflatten(self._last_state(self.inputs(runs)), 0, frames.shape[:2]).transpose(1, 2)
        driven = self.inputs(features)  # of all frames at once: only the state must wait for its past
        if not self._restart:
            return torch.stack(self._states(driven), dim=2)
        return per_prediction(self._last_state, driven, self.history + 1)

    def _last_state(self, windows: Tensor) -> Tensor:
        return self._states(windows)[-1]

    def _states(self, driven: Tensor) -> list[Tensor]:
        """State after each frame, (B, D, H, W) each."""
        num_windows, _, _, height, width = driven.shape
        state = driven.new_zeros(num_windows, self._hidden, height, width)
        states = []
        for frame in driven.unbind(2):
            drive_gates, drive_candidate = torch.split(frame, [2 * self._hidden, self._hidden], dim=1)
            reset, update = torch.sigmoid(drive_gates + self.gates(state)).chunk(2, dim=1)
            candidate = torch.tanh(drive_candidate + self.candidate(reset * state))
            state = torch.lerp(candidate, state, update)
            states.append(state)
        return states


def _per_step(channels: int, num_steps: int) -> int:
    if channels % num_steps:
        what = "the features do not hold so many steps: their channels are no multiple of it"
        raise ConfigError(Problem(key="steps", what=what, given=f"{num_steps} steps in {channels} channels"))
    return channels // num_steps
