"""Coarse and fine parts of pictures. B windows, C channels, T frames, H, W pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from visioncore_engine.errors import ConfigError, Problem

__all__ = ["Bands"]


class Bands(nn.Module):
    """Every frame blurred by a Gaussian, and what that takes away: (B, C, T, H, W) -> (B, 2 C, T, H, W).

    The first level of a Laplacian pyramid without its smaller pictures (Burt & Adelson, 1983): the two parts sum to the
    picture. Beyond the border the nearest pixel is seen. VisionCore's `split_MP` takes the bands of a steerable pyramid
    instead: what was learned behind those does not carry over.

    Parameters
    ----------
    sigma
        Standard deviation of the Gaussian in pixels; it is cut off at three of them.
    size
        (H, W).

    Raises
    ------
    ConfigError
        Where there is a single pixel: nothing of it is fine.
    """

    def __init__(self, sigma: float, size: tuple[int, int]) -> None:
        super().__init__()
        if size == (1, 1):
            what = "a single pixel has no fine part, so that half of the filters would see nothing"
            raise ConfigError(Problem(key="bands", what=what, given=str(sigma), todo="leave it out"))
        self._reach = math.ceil(3 * sigma)
        places = torch.arange(-self._reach, self._reach + 1, dtype=torch.float64)
        window = torch.exp(-0.5 * (places / sigma) ** 2)
        window = (window / window.sum()).to(torch.get_default_dtype())
        self.register_buffer("window", window, persistent=False)

    window: Tensor

    def forward(self, features: Tensor) -> Tensor:
        """Split."""
        reach = self._reach
        alone = features.reshape(-1, 1, *features.shape[2:])  # (B C, 1, T, H, W)
        padded = nn.functional.pad(alone, (reach, reach, reach, reach, 0, 0), mode="replicate")
        rows = nn.functional.conv3d(padded, self.window[:, None][None, None, None])
        coarse = nn.functional.conv3d(rows, self.window[None, None, None, None]).reshape(features.shape)
        return torch.cat([coarse, features - coarse], dim=1)
