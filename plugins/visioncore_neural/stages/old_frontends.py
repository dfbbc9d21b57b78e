"""Frontends of VisionCore models. B windows, C channels, K frames (newest first), H, W pixels, N pixels of an axis."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from visioncore_engine.errors import ConfigError, Problem
from visioncore_neural.options.old_core import OldFrontendOptions
from visioncore_neural.stages.old_layers import Size

__all__ = ["OldAdaptation", "OldTemporal", "coarse_part", "old_frontend"]


class OldTemporal(nn.Module):
    """Temporal filters at every pixel, valid in time: (B, 1, K, H, W) -> (B, channels, K - kernel_size + 1, H, W)."""

    def __init__(self, options: OldFrontendOptions, size: Size) -> None:
        super().__init__()
        self._groups = 2 if options.split else 1
        self.weight = nn.Parameter(torch.randn(options.num_channels, 1, options.kernel_size, 1, 1))
        with torch.no_grad():
            self.weight.div_(math.sqrt(options.kernel_size))
        self.bias = nn.Parameter(torch.zeros(options.num_channels)) if options.bias else None
        self._rows: Tensor | None
        self._columns: Tensor | None
        for name, pixels in (("_rows", size[1]), ("_columns", size[2])):
            self.register_buffer(name, coarse_part(pixels) if options.split else None, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Filter."""
        if self._rows is not None and self._columns is not None:
            coarse = self._rows @ features @ self._columns.T
            features = torch.cat([features - coarse, coarse], dim=1)
        return nn.functional.conv3d(features, self.weight, self.bias, groups=self._groups)


class OldAdaptation(nn.Module):
    """``alpha y / max(1 + beta z, 1e-6)``, y and z under two filters, darkness beyond the newest frame.

    (Clark et al., PLoS Comput. Biol. 2013.) The filters are kept as they were applied, (2, kernel_size), the lag
    `kernel_size` - 1 first.
    """

    filters: Tensor
    alpha: Tensor
    beta: Tensor

    def __init__(self, options: OldFrontendOptions) -> None:
        super().__init__()
        self._before = options.kernel_size - 1
        self.register_buffer("filters", torch.full((2, options.kernel_size), 1 / options.kernel_size))
        self.register_buffer("alpha", torch.ones(()))
        self.register_buffer("beta", torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """Adapt: (B, 1, K, H, W) -> same."""
        padded = nn.functional.pad(features, (0, 0, 0, 0, self._before, 0))
        fast, slow = nn.functional.conv3d(padded, self.filters[:, None, :, None, None]).unbind(1)
        adapted: Tensor = self.alpha * fast / (1 + self.beta.relu() * slow).clamp(min=1e-6)
        return adapted.unsqueeze(1)


def coarse_part(num_pixels: int) -> Tensor:
    """What a level of a Laplacian pyramid leaves of an axis, as a matrix (N, N) (Burt & Adelson, 1983).

    Blurred by the binomial window [1, 4, 6, 4, 1] / 16, every second pixel, and back by zeros between and twice the
    same window. Beyond the border the picture is mirrored at the border pixel: all pixels at first, then the kept ones.
    """
    window = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=torch.float64) / 16
    kept = (num_pixels - 1) // 2 + 1
    down = torch.zeros(kept, num_pixels, dtype=torch.float64)
    for place in range(kept):
        for tap, share in enumerate(window):
            down[place, _mirrored(2 * place + tap - 2, num_pixels)] += share
    up = torch.zeros(num_pixels, kept, dtype=torch.float64)
    for pixel in range(num_pixels):
        for tap, share in enumerate(window):
            place, odd = divmod(pixel + tap - 2, 2)
            if not odd and place <= kept:  # one mirrored pixel on each side, nothing beyond
                up[pixel, _mirrored(place, kept)] += 2 * share
    return (up @ down).to(torch.get_default_dtype())


def old_frontend(options: OldFrontendOptions, channels: int, size: Size) -> tuple[nn.Module, int, Size]:
    """Build a frontend for windows of so many channels, and return the channels and size that it makes.

    Raises
    ------
    ConfigError
        Where windows have several channels or are shorter than a filter, or pictures are too small to be split.
    """
    if channels != 1:
        what = "VisionCore's frontends see one channel"
        raise ConfigError(Problem(key="frontend", what=what, given=f"{channels} channels"))
    if options.kind == "adaptation":
        return OldAdaptation(options), 1, size
    if options.kernel_size > size[0]:
        what = f"a filter of {options.kernel_size} frames is longer than windows of {size[0]}"
        raise ConfigError(Problem(key="frontend.kernel_size", what=what, todo="raise `num_lags`"))
    if options.split and min(size[1:]) < 3:
        what = f"a picture of {size[1]} x {size[2]} pixels has no level of a pyramid"
        raise ConfigError(Problem(key="frontend.split", what=what, todo="leave it out"))
    steps = size[0] - options.kernel_size + 1
    return OldTemporal(options, size), options.num_channels, (steps, size[1], size[2])


def _mirrored(place: int, size: int) -> int:
    place = abs(place)
    return place if place < size else 2 * (size - 1) - place
