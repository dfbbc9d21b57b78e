"""Layers of a VisionCore core. B windows, C channels, S steps (newest first), H, W pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visioncore_engine.errors import ConfigError, Problem
from visioncore_neural.options.old_core import OldLayerOptions, OldPoolOptions
from visioncore_neural.stages.layers import ACTIVATIONS, width_after
from visioncore_neural.stages.norms import PixelLayerNorm, PixelRMSNorm

__all__ = ["OldLayer", "Size", "SoftPool", "WindowResponseNorm", "cropped"]

Size = tuple[int, int, int]
"""Steps, height, width."""

_TEMPERATURE = 10.0  # of the weights of a soft pooling
_ADDED = 1e-6  # to their sum
_BOUNDS = (0.1, 1.0)  # of the offset of a window's response norm


class OldLayer(nn.Module):
    """Convolution, norm, nonlinearity, dropout, pooling: (B, C, S, H, W) -> (B, C', S', H', W').

    Kernels lie inside the window and the frame; before, the newest frame is repeated so that no step is lost, and
    border pixels by `padding`.

    Attributes
    ----------
    channels, size
        Of the output.

    Raises
    ------
    ConfigError
        Where nothing is left of the window or of the frame.
    """

    def __init__(self, options: OldLayerOptions, channels: int, size: Size, where: str) -> None:
        super().__init__()
        kernel, dilation = options.kernel_size, options.dilation
        height, width = options.padding
        before = dilation[0] * (kernel[0] - 1) if options.pad_time else 0
        self._pad = (width, width, height, height, before, 0)
        self.conv = nn.Conv3d(
            channels, options.channels, kernel, stride=options.stride, dilation=dilation, bias=options.bias
        )
        self.norm = _norm(options)
        self.activation = ACTIVATIONS[options.activation]()
        self.dropout = nn.Dropout(options.dropout)
        self.channels = width_after(options.activation, options.channels)
        self.pool = nn.Identity() if options.pool is None else _pool(options.pool, self.channels, where)
        self.size: Size = (options.length(0, size[0]), options.length(1, size[1]), options.length(2, size[2]))
        if min(self.size) < 1:
            what = f"nothing is left of {size[0]} steps of {size[1]} x {size[2]} pixels"
            raise ConfigError(Problem(key=where, what=what, todo="raise `num_lags`, or give it larger frames"))

    def forward(self, features: Tensor) -> Tensor:
        """Run the layer."""
        if any(self._pad):
            features = nn.functional.pad(features, self._pad, mode="replicate")
        output: Tensor = self.pool(self.dropout(self.activation(self.norm(self.conv(features)))))
        return output


class WindowResponseNorm(nn.Module):
    """Every channel over its root mean square in the window and an offset: VisionCore's `grn`.

    ``weight x / (sqrt(mean(x^2) + eps) + min(max(offset, 0.1), 1)) + bias``, the mean over steps and pixels.
    """

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self._eps = eps
        self.offset = nn.Parameter(torch.full((1,), 0.5))
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Normalise."""
        size = (features.square().mean(dim=(2, 3, 4), keepdim=True) + self._eps).sqrt()
        weight, bias = self.weight[:, None, None, None], self.bias[:, None, None, None]
        return weight * features / (size + self.offset.clamp(*_BOUNDS)) + bias


class SoftPool(nn.Module):
    """Averages of 2 x 2 pixels under weights ``exp(x / 10)``, then a gate per channel and step.

    (Stergiou et al., ICCV 2021; Hu et al., CVPR 2018.) With `blurred`, a window [1, 2, 1] along both axes first, zeros
    beyond the border.
    """

    def __init__(self, options: OldPoolOptions, channels: int) -> None:
        super().__init__()
        self._stride, self._soft = options.stride[2], options.soft
        hidden = channels // options.squeeze
        self.hidden = nn.Linear(channels, hidden)
        self.output = nn.Linear(hidden, channels)
        blur = torch.tensor([1.0, 2.0, 1.0]) / 4 if options.kind == "blurred_soft" else None
        self.register_buffer("_blur", blur, persistent=False)

    _blur: Tensor | None

    def forward(self, features: Tensor) -> Tensor:
        """Pool: (B, C, S, H, W) -> (B, C, S, H', W')."""
        alone = features.reshape(-1, 1, *features.shape[3:])
        if self._blur is not None:
            window = self._blur[:, None] * self._blur
            alone = nn.functional.conv2d(alone, window[None, None], padding=1)
        if self._soft:
            weight = torch.exp(alone / _TEMPERATURE)
            alone = self._average(alone * weight) / (self._average(weight) + _ADDED)
        else:
            alone = self._average(alone)
        pooled = alone.reshape(*features.shape[:3], *alone.shape[2:])
        means = pooled.mean(dim=(3, 4)).transpose(1, 2)  # (B, S, C)
        gate = torch.sigmoid(self.output(nn.functional.silu(self.hidden(means))))
        return pooled * gate.transpose(1, 2)[..., None, None]

    def _average(self, values: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(values, 2, self._stride)


def cropped(features: Tensor, size: Size) -> Tensor:
    """Last steps and middle pixels."""
    steps, height, width = size
    top, left = (features.shape[3] - height) // 2, (features.shape[4] - width) // 2
    return features[:, :, features.shape[2] - steps :, top : top + height, left : left + width]


def _norm(options: OldLayerOptions) -> nn.Module:
    channels, eps = options.channels, options.eps
    if options.norm == "none":
        return nn.Identity()
    if options.norm == "batch":
        return nn.BatchNorm3d(channels, eps)
    if options.norm == "pixel_rms":
        return PixelRMSNorm(channels, eps)
    if options.norm == "pixel_layer":
        return PixelLayerNorm(channels, eps)
    if options.norm == "window_response":
        return WindowResponseNorm(channels, eps)
    return nn.GroupNorm(channels if options.norm == "window_instance" else options.num_groups, channels, eps)


def _pool(options: OldPoolOptions, channels: int, where: str) -> nn.Module:
    kernel, stride, padding = options.kernel_size, options.stride, options.padding
    if options.kind in ("soft", "blurred_soft"):
        if channels < options.squeeze:
            what = f"a gate with a hidden value for {options.squeeze} channels has none"
            raise ConfigError(Problem(key=f"{where}.pool.squeeze", what=what, given=f"{channels} channels"))
        return SoftPool(options, channels)
    if options.kind == "adaptive_max":
        return nn.AdaptiveMaxPool3d(kernel)
    if options.kind == "adaptive_average":
        return nn.AdaptiveAvgPool3d(kernel)
    return (nn.MaxPool3d if options.kind == "max" else nn.AvgPool3d)(kernel, stride, padding)
