"""Affine adapter. B windows, C channels, T frames, H, W pixels of the input, P, Q pixels of the output."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import AdapterFacts
from visioncore_neural.options.adapter import AffineOptions

__all__ = ["Affine"]

_NO_BLUR = 1e-3  # VisionCore leaves out a blur of a smaller width


class Affine(nn.Module):
    """Gaussian blur, then bilinear resampling on an affine grid; one of each per recording.

    Coordinates are (x, y) along width and height; -1 and 1 are the *centres* of the border pixels (``align_corners``),
    so that the identity map on as many pixels as the input has returns the input. Beyond the border the nearest
    border pixel is seen, by the blur too: a constant picture stays constant. The blur kernel is odd and symmetric, it
    moves nothing; it is cut off after `blur_size` pixels and divided by its sum.

    With ``compat: visioncore`` it computes what VisionCore's `AffineAdapter` did, for weights that were learned there.
    The variance of the blur is ``sigma ** 2 + s ** 2`` with ``s = max(0, 0.44 (1 / scale - 1))`` for the smallest
    scale. With k = ``round(6 sigma)``, or the odd number behind it, its taps are ``-(k + 1) / 2 ... (k - 1) / 2``, so
    that the picture loses a pixel on each axis and moves by one. Beyond the border are zeros.

    Attributes
    ----------
    log_sigma
        Logarithm of the blur's standard deviation in input pixels, (); None where `blur_size` is 1.
    theta
        The map from output to input coordinates: (2, 3) for ``affine``, the two scales (x, y) for ``scale``.
    out_shape
        (C, P, Q).
    """

    def __init__(self, options: AffineOptions, facts: AdapterFacts) -> None:
        super().__init__()
        channels, height, width = facts.in_shape
        size = options.grid_size
        if isinstance(size, int):
            size = (size if height > 1 else 1, size if width > 1 else 1)
        self.out_shape = (channels, *size)
        diagonal = torch.full((2,), options.init_scale)
        affine = options.transform == "affine"
        self.theta = nn.Parameter(torch.cat([diagonal.diag(), torch.zeros(2, 1)], dim=1) if affine else diagonal)
        blurs = options.blur_size > 1
        self._compat = options.compat != "none"
        self.log_sigma = nn.Parameter(torch.tensor(math.log(options.init_sigma))) if blurs else None
        self.register_buffer("_taps", torch.arange(options.blur_size) - options.blur_size // 2, persistent=False)
        self.register_buffer("_x", _centres(size[1]), persistent=False)
        self.register_buffer("_y", _centres(size[0]), persistent=False)

    _taps: Tensor
    _x: Tensor
    _y: Tensor

    def kernel(self) -> Tensor:
        """Blur kernel along one axis, (blur_size,), sum 1."""
        if self.log_sigma is None:
            return torch.ones_like(self._x[:1])
        if self._compat:
            return self._kernel_of_visioncore(self.log_sigma)
        return (-0.5 * (self._taps / self.log_sigma.exp()) ** 2).softmax(dim=0)

    def forward(self, inputs: Tensor) -> Tensor:
        """Adapt: (B, C, T, H, W) -> (B, C, T, P, Q)."""
        height, width = inputs.shape[3:]
        rows, columns = self._blur(height), self._blur(width)
        zeros = self._compat  # beyond the border
        if self.theta.ndim == 1:  # without rotation and shear all of it is one matrix per axis
            rows = rows @ _interpolation(self._y * self.theta[1], rows.shape[1], zeros=zeros)
            columns = columns @ _interpolation(self._x * self.theta[0], columns.shape[1], zeros=zeros)
            return rows.T @ inputs @ columns
        blurred = rows.T @ inputs @ columns if self.log_sigma is not None else inputs
        # Not a matrix product: autocast would round the coordinates to bfloat16, a tenth of a pixel.
        x, y = self._x[None, :, None], self._y[:, None, None]
        grid = x * self.theta[:, 0] + y * self.theta[:, 1] + self.theta[:, 2]  # (P, Q, 2)
        sampled = nn.functional.grid_sample(
            blurred.flatten(1, 2),
            grid.expand(len(inputs), -1, -1, -1),
            mode="bilinear",
            padding_mode="zeros" if zeros else "border",
            align_corners=True,
        )
        return torch.unflatten(sampled, 1, inputs.shape[1:3])

    def _kernel_of_visioncore(self, log_sigma: Tensor) -> Tensor:
        scale = self.theta.min() if self.theta.ndim == 1 else torch.linalg.svdvals(self.theta[:, :2]).min()
        least = 0.44 * (1 / scale - 1).clamp(min=0)
        sigma = (least**2 + log_sigma.exp() ** 2).sqrt()
        if sigma < _NO_BLUR:
            return torch.ones_like(self._x[:1])
        size = round(6 * sigma.item()) | 1  # read back: how many taps there are depends on a learned value
        taps = torch.arange(-(size + 1) // 2, (size + 1) // 2, device=sigma.device)
        return (-0.5 * (taps / sigma) ** 2).softmax(dim=0)

    def _blur(self, size: int) -> Tensor:
        """Blur along an axis of `size` pixels as a matrix from input to output pixels, (size, size)."""
        kernel = self.kernel()
        eye = torch.eye(size, dtype=kernel.dtype, device=kernel.device).unsqueeze(1)
        if self._compat:
            reach = max(len(kernel) // 2 - 1, 0)
            return nn.functional.conv1d(eye, kernel[None, None], padding=reach).squeeze(1)
        reach = len(kernel) // 2
        padded = nn.functional.pad(eye, (reach, reach), mode="replicate")
        return nn.functional.conv1d(padded, kernel[None, None]).squeeze(1)


def _centres(num_pixels: int) -> Tensor:
    return torch.linspace(-1, 1, num_pixels) if num_pixels > 1 else torch.zeros(1)


def _interpolation(positions: Tensor, size: int, *, zeros: bool) -> Tensor:
    """Linear interpolation between `size` pixels at positions in [-1, 1], as a matrix (size, positions).

    Beyond the border is what is at the border, or `zeros`.
    """
    places = (positions + 1) / 2 * (size - 1)
    if not zeros:
        places = places.clamp(0, size - 1)
    pixels = torch.arange(size, dtype=places.dtype, device=places.device)
    return (1 - (pixels[:, None] - places).abs()).clamp(min=0)
