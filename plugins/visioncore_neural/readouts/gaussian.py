"""Gaussian readout. B windows, C channels, T frames, H, W pixels, N units."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import ReadoutFacts
from visioncore_neural.options.readout import GaussianOptions
from visioncore_neural.readouts.weighted import Weighted, products
from visioncore_neural.readouts.windows import centres, gaussian_windows

__all__ = ["Gaussian"]


class Gaussian(Weighted):
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
    x, y
        Coordinates of the pixels, (W,) and (H,).
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
        self.register_buffer("x", centres(width), persistent=False)
        self.register_buffer("y", centres(height), persistent=False)

    x: Tensor
    y: Tensor

    @property
    def std(self) -> Tensor:
        """Widths of the windows (N, 2), as (x, y)."""
        return self._min_std + self.log_std.exp()

    def mask(self) -> Tensor:
        """Windows in space, (N, H, W); each sums to 1."""
        return gaussian_windows(self.x, self.y, self.mean, self.std, self.theta)

    def weights(self) -> Tensor:
        """Window times channel weight, (N, H W C)."""
        return self.weigh(self.mask())

    def weigh(self, mask: Tensor) -> Tensor:
        """Weights (N, H W C) of channels through masks (N, H, W)."""
        return (mask.unsqueeze(-1) * self.features[:, None, None, :]).flatten(1)

    @classmethod
    def together(cls, readouts: Sequence[Gaussian], features: Tensor, sizes: Sequence[int]) -> list[Tensor]:
        """Drives of several readouts; their windows are made as one."""
        first, sizes_of_masks = readouts[0], [len(own.bias) for own in readouts]
        mean, std = torch.cat([own.mean for own in readouts]), torch.cat([own.std for own in readouts])
        theta = torch.cat([own.theta for own in readouts if own.theta is not None]) if first.theta is not None else None
        shares = torch.split(gaussian_windows(first.x, first.y, mean, std, theta), sizes_of_masks)
        weights = [own.weigh(mask) for own, mask in zip(readouts, shares, strict=True)]
        return products(readouts, weights, features, sizes)
