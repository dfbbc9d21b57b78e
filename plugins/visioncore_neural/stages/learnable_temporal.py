"""Learned temporal filters. B windows, C channels, T frames, H, W pixels, K frames of a filter."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import StageFacts
from visioncore_neural.options.stage import LearnableTemporalOptions
from visioncore_neural.stages.bands import Bands
from visioncore_neural.stages.kernels import KERNELS
from visioncore_neural.stages.weights import hann, kernel_of, norms

__all__ = ["LearnableTemporal"]


class LearnableTemporal(nn.Module):
    """The same temporal filters at every pixel, valid in time: an output frame sees K - 1 earlier frames, no later one.

    Filter o starts on input channel ``o % C`` alone, with kernel ``o // C`` of the chosen `init`; every filter may
    learn to see every channel. With `bands`, the first `num_channels` filters see the coarse part of each frame and as
    many more its fine part. ``random`` is normal with variance 1 / (C K). The filters are what `kernel` gives; they
    start as `init` says under a window too, and with weight norm 'unit' in its direction.

    Attributes
    ----------
    weight
        What is learned of the filters, (num_channels, C, K, 1, 1), oldest frame first.
    gain
        Their norms (num_channels,) with weight norm 'gain', else None.
    bias
        (num_channels,), or None.
    out_shape, history, burn_in
        As every stage.
    """

    burn_in = 0

    def __init__(self, options: LearnableTemporalOptions, facts: StageFacts) -> None:
        super().__init__()
        in_channels, height, width = facts.in_shape
        num_channels, size = options.num_channels, options.kernel_size
        self.bands = None if options.bands is None else Bands(options.bands, (height, width))
        num_bands = 1 if self.bands is None else 2
        self.out_shape = (num_bands * num_channels, height, width)
        self.history = size - 1
        weight = torch.cat([_start(options, in_channels, facts.dt) for _ in range(num_bands)])
        window = hann(size, options.window_power or 1.0)[:, None, None] if options.window == "time" else None
        self.register_buffer("_window", window, persistent=False)
        weight = weight[..., None, None]
        self.weight = nn.Parameter(weight if window is None else weight / window)
        self._unit = options.weight_norm == "unit"
        self.gain = nn.Parameter(norms(weight).flatten()) if options.weight_norm == "gain" else None
        self.bias = nn.Parameter(torch.zeros(len(weight))) if options.bias else None

    _window: Tensor | None

    def kernel(self) -> Tensor:
        """Filters that are applied, (num_channels, C, K, 1, 1), oldest frame first; with `bands` twice as many."""
        return kernel_of(self.weight, self._window, self.gain, unit=self._unit)

    def forward(self, features: Tensor) -> Tensor:
        """Run the stage: (B, C, T, H, W) -> (B, num_channels, T - history, H, W); with `bands` twice the channels."""
        seen: Tensor = features if self.bands is None else self.bands(features)
        return nn.functional.conv3d(seen, self.kernel(), self.bias, groups=1 if self.bands is None else 2)


def _start(options: LearnableTemporalOptions, in_channels: int, dt: float | None) -> Tensor:
    """Filters of one band at the start, (num_channels, C, K)."""
    num_channels, size = options.num_channels, options.kernel_size
    if options.init == "random":
        return torch.randn(num_channels, in_channels, size) / math.sqrt(in_channels * size)
    kernels = KERNELS[options.init](-(-num_channels // in_channels), size, dt)
    weight = torch.zeros(num_channels, in_channels, size)
    for channel in range(num_channels):
        weight[channel, channel % in_channels] = torch.from_numpy(kernels[channel // in_channels])
    return weight
