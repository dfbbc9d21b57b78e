"""Linear units of one recording. B windows, C channels, T frames, H, W pixels, N units, K lags of responses."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import GroupSpec
from visioncore_engine.errors import ConfigError, Problem, nearest
from visioncore_neural.options.model import GLMOptions, LNOptions
from visioncore_neural.recording import PREVIOUS
from visioncore_neural.responses import response_task

__all__ = ["LinearUnits"]


class LinearUnits(nn.Module):
    """Drive of each unit: filters over frames, and for a GLM over side inputs and earlier responses, plus a bias.

    All of it starts at 0; of filters of limited rank the pictures do. Filters are what `filters` gives: weights over
    the root of the number of pixels and frames that they see, so that one learning rate suits filters of any size.

    Parameters
    ----------
    options
        What the user wrote.
    group
        The recording.

    Attributes
    ----------
    stimulus
        Weights of filters (N, C, num_frames, H, W), oldest frame first; None with a limited rank.
    space, time
        (N, rank, C, H, W) and (N, rank, num_frames), oldest frame first; None without a rank.
    side
        Weights (N, size of all `inputs`), or None.
    response
        Weights (N, K) of a unit's own responses or (N, N, K) of all units' (to, from, lag), oldest first; or None.
    bias
        (N,).

    Raises
    ------
    ConfigError
        Where the recording lacks a side input that is needed.
    """

    def __init__(self, options: LNOptions, group: GroupSpec) -> None:
        super().__init__()
        num_units = response_task(group)[1].size
        channels, height, width = group.input_shape
        frames, rank = options.num_frames, options.rank
        self._scale = math.sqrt(1 / (channels * height * width * (frames if rank is None else 1)))
        glm = options if isinstance(options, GLMOptions) else None
        self._inputs = glm.inputs if glm else ()
        num_lags = glm.num_lags if glm else 0
        for name in (*self._inputs, *((PREVIOUS,) if num_lags else ())):
            _check(name, group)
        self.stimulus = nn.Parameter(torch.zeros(num_units, channels, frames, height, width)) if rank is None else None
        self.space = nn.Parameter(torch.zeros(num_units, rank, channels, height, width)) if rank else None
        self.time = nn.Parameter(torch.randn(num_units, rank, frames) / frames**0.5) if rank else None
        size = sum(group.side[name] for name in self._inputs)
        self.side = nn.Parameter(torch.zeros(num_units, size)) if size else None
        coupled = (num_units,) if glm and glm.coupled else ()
        self.response = nn.Parameter(torch.zeros(num_units, *coupled, num_lags)) if num_lags else None
        self.bias = nn.Parameter(torch.zeros(num_units))

    def filters(self) -> Tensor:
        """Filters over frames, (N, C, num_frames, H, W), oldest frame first."""
        if self.stimulus is not None:
            return self._scale * self.stimulus
        assert self.space is not None
        assert self.time is not None
        return self._scale * torch.einsum("nrchw,nrt->ncthw", self.space, self.time)

    def forward(self, inputs: Tensor, side: Mapping[str, Tensor], length: int) -> Tensor:
        """Drive of the last `length` frames: (B, C, T, H, W), {name: (B, T, K)} -> (B, length, N)."""
        filters = self.filters()
        seen = inputs[:, :, inputs.shape[2] - length - filters.shape[2] + 1 :]
        drive = nn.functional.conv3d(seen, filters).flatten(2).transpose(1, 2) + self.bias
        if self.side is not None:
            values = torch.cat([side[name] for name in self._inputs], dim=-1).to(inputs.dtype)
            drive = drive + nn.functional.linear(values[:, values.shape[1] - length :], self.side)
        if self.response is not None:
            previous, num_lags = side[PREVIOUS].to(inputs.dtype), self.response.shape[-1]
            lags = previous[:, previous.shape[1] - length - num_lags + 1 :].unfold(1, num_lags, 1)  # (B, length, N, K)
            equation = "blnk,nk->bln" if self.response.ndim == 2 else "blmk,nmk->bln"
            drive = drive + torch.einsum(equation, lags, self.response)
        return drive


def _check(name: str, group: GroupSpec) -> None:
    if name not in group.side:
        close = nearest(name, group.side)
        raise ConfigError(
            Problem(
                key="model.inputs" if name != PREVIOUS else "model.num_lags",
                what=f"needs the side input {name!r}, which is missing in {group.name}",
                todo=f"did you mean {close!r}?" if close else f"add it to `data.side`: [{name}]",
            )
        )
