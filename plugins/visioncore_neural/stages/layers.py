"""What convolutional stages are made of. B windows, C channels, T frames, H, W pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from visioncore_engine.errors import ConfigError, Problem
from visioncore_neural.options.stage import ConvolutionOptions

__all__ = ["ACTIVATIONS", "FrameNorm", "convolution", "norm", "out_size"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "identity": nn.Identity,
}


class FrameNorm(nn.Module):
    """Group norm of every frame on its own: (B, C, T, H, W) -> same, mean 0 and variance 1 over (C / groups, H, W).

    `nn.GroupNorm` would take its statistics over time too, and a prediction would depend on the length of its window.
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self._num_groups, self._eps = num_groups, eps
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, features: Tensor) -> Tensor:
        """Normalise."""
        frames = features.transpose(1, 2)
        flat = frames.flatten(0, 1)  # (B T, C, H, W), a view where features are channels-last
        flat = nn.functional.group_norm(flat, self._num_groups, self.weight, self.bias, self._eps)
        return torch.unflatten(flat, 0, frames.shape[:2]).transpose(1, 2)


def norm(options: ConvolutionOptions, channels: int) -> nn.Module:
    """Normalisation layer that the options ask for."""
    if options.norm == "none":
        return nn.Identity()
    if options.norm == "batch":
        return nn.BatchNorm3d(channels)
    return FrameNorm(options.num_groups or 1, channels)


def convolution(
    in_channels: int, out_channels: int, kernel: tuple[int, int, int], stride: int, *, bias: bool
) -> nn.Conv3d:
    """Convolution, valid in time and of the same size in space (before the stride); Kaiming start, bias 0."""
    layer = nn.Conv3d(
        in_channels,
        out_channels,
        kernel,
        stride=(1, stride, stride),
        padding=(0, kernel[1] // 2, kernel[2] // 2),
        bias=bias,
    )
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def out_size(size: tuple[int, int], kernel: tuple[int, int, int], stride: int) -> tuple[int, int]:
    """Height and width after a convolution.

    Raises
    ------
    ConfigError
        Where part of the kernel could never touch a pixel: its weights would get no gradient.
    """
    if kernel[1] > 2 * size[0] - 1 or kernel[2] > 2 * size[1] - 1:
        raise ConfigError(
            Problem(
                key="kernel_size",
                what=f"part of a {kernel[1]} x {kernel[2]} kernel could never touch features of {size[0]} x {size[1]}",
                given=str(list(kernel)),
                todo=f"use at most {[2 * size[0] - 1, 2 * size[1] - 1]} for height and width",
            )
        )
    return (size[0] - 1) // stride + 1, (size[1] - 1) // stride + 1
