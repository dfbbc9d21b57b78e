"""Convolutional gated recurrent unit. B windows, C channels, T frames, H, W pixels, D hidden channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import StageFacts
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
    ``compat: visioncore`` each of these runs goes from the newest frame to the oldest, as VisionCore's did.

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
        self._newest_first = options.newest_first
        self.out_shape = (hidden, height, width)
        self.history = options.burn_in if self._restart else 0
        self.burn_in = 0 if self._restart else options.burn_in
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
        driven = self.inputs(features)  # of all frames at once: only the state must wait for its past
        if not self._restart:
            return torch.stack(self._states(driven), dim=2)
        return per_prediction(self._last_state, driven, self.history + 1)

    def forward_held(self, features: Tensor, held: Tensor) -> Tensor:
        """Run it over features and other channels, held at what they are in the predicted frame.

        (B, C, T, H, W) and (B, C', T - history, H, W) -> (B, D, T - history, H, W), with C + C' input channels.
        """
        seen, of_held = torch.split(self.inputs.weight, [features.shape[1], held.shape[1]], dim=1)
        padding = self.inputs.padding
        assert not isinstance(padding, str)
        driven = nn.functional.conv3d(features, seen, self.inputs.bias, padding=padding)
        added = nn.functional.conv3d(held, of_held, padding=padding).transpose(1, 2).flatten(0, 1).unsqueeze(2)
        return per_prediction(lambda windows: self._last_state(windows + added), driven, self.history + 1)

    def _last_state(self, windows: Tensor) -> Tensor:
        return self._states(windows.flip(2) if self._newest_first else windows)[-1]

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
