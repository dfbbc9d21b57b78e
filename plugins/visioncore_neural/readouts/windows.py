"""Gaussian windows in space. N windows, H, W pixels."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["centres", "gaussian_windows"]


def centres(num_pixels: int) -> Tensor:
    """Coordinates of pixels along an axis: -1 and 1 are the centres of the border pixels, a single pixel is at 0."""
    return torch.linspace(-1, 1, num_pixels) if num_pixels > 1 else torch.zeros(1)


def gaussian_windows(x: Tensor, y: Tensor, mean: Tensor, std: Tensor, theta: Tensor | None) -> Tensor:
    """``exp(-d^2 / 2)`` over its sum, d the distance from the mean in units of `std`, (N, H, W).

    Parameters
    ----------
    x, y
        Coordinates of the pixels, (W,) and (H,).
    mean, std
        (N, 2), as (x, y).
    theta
        Angles (N,) in radians, counter-clockwise from x to y; None where windows are not turned.
    """
    dx = x[None, None, :] - mean[:, 0, None, None]
    dy = y[None, :, None] - mean[:, 1, None, None]
    if theta is not None:
        cos, sin = theta.cos()[:, None, None], theta.sin()[:, None, None]
        dx, dy = cos * dx + sin * dy, cos * dy - sin * dx
    distance = (dx / std[:, 0, None, None]) ** 2 + (dy / std[:, 1, None, None]) ** 2
    # A softmax is the normalised window, and stays finite where a centre has left the frame.
    return (-distance / 2).flatten(1).softmax(dim=1).view_as(distance)
