"""Normalisation of each frame. B windows, C channels, T frames, H, W pixels.

`nn.GroupNorm` and its like take their statistics over time too: a prediction would depend on the length of its window,
and on frames that come after it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visioncore_engine.errors import ConfigError, Problem
from visioncore_neural.options.stage import LayersOptions

__all__ = ["FrameNorm", "FrameRMSNorm", "PixelLayerNorm", "PixelRMSNorm", "ResponseNorm", "norm"]


class FrameNorm(nn.Module):
    """Group norm of every frame on its own: (B, C, T, H, W) -> same, mean 0 and variance 1 over (C / groups, H, W)."""

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


class FrameRMSNorm(nn.Module):
    """Every frame divided by its root mean square over channels and pixels, then scaled per channel.

    (Zhang & Sennrich, NeurIPS 2019.) ``x / sqrt(mean(x^2) + eps) * weight + bias``.
    """

    over: tuple[int, ...] = (1, 3, 4)  # axes of the mean

    def __init__(self, num_channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self._eps = eps
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, features: Tensor) -> Tensor:
        """Normalise."""
        scale = (features.square().mean(dim=self.over, keepdim=True) + self._eps).rsqrt()
        return features * scale * _per_channel(self.weight) + _per_channel(self.bias)


class PixelRMSNorm(FrameRMSNorm):
    """Every pixel of every frame divided by the root mean square of its channels, then scaled per channel."""

    over = (1,)


class PixelLayerNorm(PixelRMSNorm):
    """The same without the mean of the channels (Ba et al., 2016): mean 0, variance 1 over the channels of a pixel."""

    def forward(self, features: Tensor) -> Tensor:
        """Normalise."""
        return super().forward(features - features.mean(dim=1, keepdim=True))


class ResponseNorm(nn.Module):
    """Global response normalisation of each frame (Woo et al., CVPR 2023).

    With g the norm of a channel over the pixels of its frame, and n its share ``g / (mean of g over channels + eps)``:
    ``x + weight * n * x + bias``; weight and bias start at 0, so that it starts as the identity.
    """

    def __init__(self, num_channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self._eps = eps
        self.weight = nn.Parameter(torch.zeros(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, features: Tensor) -> Tensor:
        """Normalise."""
        # The small number stands under the root: the norm of a channel that is 0 everywhere has a gradient too.
        size = (features.square().sum(dim=(3, 4), keepdim=True) + self._eps**2).sqrt()
        share = size / (size.mean(dim=1, keepdim=True) + self._eps)
        return features * (1 + _per_channel(self.weight) * share) + _per_channel(self.bias)


def norm(options: LayersOptions, channels: int, size: tuple[int, int]) -> nn.Module:
    """Normalisation layer that the options ask for, for features of height and width `size`.

    Raises
    ------
    ConfigError
        Where something would be normalised over itself alone: it would be 0.
    """
    if options.norm == "none":
        return nn.Identity()
    if options.norm == "batch":
        return nn.BatchNorm3d(channels)
    if options.norm == "frame_rms":
        return FrameRMSNorm(channels)
    if options.norm == "frame_response":
        return ResponseNorm(channels)
    if options.norm in ("pixel_rms", "pixel_layer"):
        if options.norm == "pixel_layer" and channels == 1:
            what = "'pixel_layer' would set a single channel to 0"
            raise ConfigError(Problem(key="norm", what=what, given="1 channel", todo="choose another norm"))
        return (PixelRMSNorm if options.norm == "pixel_rms" else PixelLayerNorm)(channels)
    if options.norm == "frame_instance" and size == (1, 1):
        raise ConfigError(
            Problem(
                key="norm",
                what="'frame_instance' would set every channel of a single pixel to 0",
                given="features of 1 x 1",
                todo="choose another norm",
            )
        )
    num_groups = channels if options.norm == "frame_instance" else options.num_groups or 1
    return FrameNorm(num_groups, channels)


def _per_channel(values: Tensor) -> Tensor:
    return values[:, None, None, None]
