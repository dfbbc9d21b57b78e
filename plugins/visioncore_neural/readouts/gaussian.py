"""Gaussian readout. B windows, C channels, T frames, H, W pixels, N units."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import ReadoutFacts
from visioncore_neural.options.readout import GaussianOptions
from visioncore_neural.readouts.windows import centres, gaussian_windows

__all__ = ["Gaussian"]


class Gaussian(nn.Module):
    """Each unit sees the features through a Gaussian window in space, and weighs the channels.

    The window of unit n is ``exp(-d^2 / 2)``, d the distance of a pixel from ``mean[n]`` in units of `std`, turned by
    ``theta[n]`` where `rotate` is on, and divided by its sum over the pixels: a map that is constant over space is
    read as that constant. Coordinates are (x, y) along width and height; -1 and 1 are the *centres* of the border
    pixels, an axis with a single pixel has its only pixel at 0 and does not matter.

    Window and channel weights are multiplied into one matrix (C H W, N) and applied to all frames in one product: no
    map per unit is ever made.

    Parameters
    ----------
    options
        What the user wrote.
    facts
        Shape of the features, and number of units.

    Attributes
    ----------
    features
        Channel weights (N, C), normal with standard deviation 1 / C at the start.
    mean
        Centres (N, 2), as (x, y).
    log_std
        (N, 2), as (x, y): `std` is ``min_std + exp(log_std)``.
    theta
        Angles (N,) in radians, counter-clockwise from x to y; None without `rotate`.
    bias
        (N,).
    """

    def __init__(self, options: GaussianOptions, facts: ReadoutFacts) -> None:
        super().__init__()
        channels, height, width = facts.in_shape
        num_units = facts.target.size
        self._min_std = options.min_std
        self.features = nn.Parameter(torch.randn(num_units, channels) / channels)
        self.mean = nn.Parameter((torch.randn(num_units, 2) * options.init_mean_scale).clamp_(-1, 1))
        self.log_std = nn.Parameter(torch.full((num_units, 2), math.log(options.init_std - options.min_std)))
        self.theta = nn.Parameter(torch.zeros(num_units)) if options.rotate else None
        self.bias = nn.Parameter(torch.zeros(num_units))
        self.register_buffer("_x", centres(width), persistent=False)
        self.register_buffer("_y", centres(height), persistent=False)

    _x: Tensor
    _y: Tensor

    @property
    def std(self) -> Tensor:
        """Widths of the windows (N, 2), as (x, y)."""
        return self._min_std + self.log_std.exp()

    def mask(self) -> Tensor:
        """Windows in space, (N, H, W); each sums to 1."""
        return gaussian_windows(self._x, self._y, self.mean, self.std, self.theta)

    def forward(self, features: Tensor) -> Tensor:
        """Drive of every unit in every frame: (B, C, T, H, W) -> (B, T, N)."""
        weights = (self.mask().unsqueeze(-1) * self.features[:, None, None, :]).flatten(1)  # (N, H W C)
        frames = features.permute(0, 2, 3, 4, 1).flatten(2)  # (B, T, H W C): a view of channels-last features
        # The bias outside: under autocast the product is rounded to bfloat16, and the drive is mostly bias.
        return nn.functional.linear(frames, weights) + self.bias
