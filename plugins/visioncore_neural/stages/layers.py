"""What convolutional stages are made of. B windows, C channels, T frames, H, W pixels."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from visioncore_engine.errors import ConfigError, Problem
from visioncore_neural.options.stage import LayersOptions
from visioncore_neural.stages.weights import hann, kernel_of, norms

__all__ = [
    "ACTIVATIONS",
    "ChannelSoftplus",
    "Convolution",
    "Gain",
    "SplitReLU",
    "activation",
    "convolution",
    "out_size",
    "width_after",
]


class SplitReLU(nn.Module):
    """``relu(x)`` and ``relu(-x)`` beside each other: (B, C, ...) -> (B, 2 C, ...) (Shang et al., ICML 2016)."""

    def forward(self, features: Tensor) -> Tensor:
        """Split."""
        return torch.cat([features, -features], dim=1).relu()


class ChannelSoftplus(nn.Module):
    """``log(1 + exp(s x)) / s`` with a sharpness s > 0 that each channel learns; `log_sharpness` is (C,)."""

    def __init__(self, channels: int, sharpness: float) -> None:
        super().__init__()
        self.log_sharpness = nn.Parameter(torch.full((channels,), math.log(sharpness)))

    def forward(self, features: Tensor) -> Tensor:
        """Apply to (B, C, T, H, W)."""
        sharpness = self.log_sharpness.exp()[:, None, None, None]
        return nn.functional.softplus(features * sharpness) / sharpness


class Gain(nn.Module):
    """Channels of (B, C, T, H, W) times a gain that each learns, from 1 on."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Scale."""
        return features * self.weight[:, None, None, None]


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "split_relu": SplitReLU,
    "identity": nn.Identity,
}


def width_after(activation: str, channels: int) -> int:
    """Channels after a nonlinearity."""
    return 2 * channels if activation == "split_relu" else channels


def activation(options: LayersOptions, channels: int) -> nn.Module:
    """Nonlinearity of the options for so many channels, with its gain."""
    if options.activation == "bsoftplus":
        module: nn.Module = ChannelSoftplus(channels, options.sharpness or 1.0)
    else:
        module = ACTIVATIONS[options.activation]()
    if not options.activation_gain:
        return module
    return nn.Sequential(module, Gain(width_after(options.activation, channels)))


class Convolution(nn.Conv3d):
    """Convolution, valid in time and of the same size in space (before the stride); kernels as `KernelOptions` say.

    Kaiming start, bias 0. ``gain`` (out_channels,) is the norm of each filter, or None where it is not learned apart.

    Parameters
    ----------
    in_channels, out_channels, kernel, stride
        As of every convolution; the stride is spatial.
    options
        Window and weight norm.
    groups
        Groups of channels that do not see each other.
    bias
        Whether it has an offset.
    """

    _window: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int, int],
        stride: int,
        options: LayersOptions,
        *,
        groups: int = 1,
        bias: bool,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel,
            stride=(1, stride, stride),
            padding=(0, kernel[1] // 2, kernel[2] // 2),
            groups=groups,
            bias=bias,
        )
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        self.register_buffer("_window", _window(kernel, options), persistent=False)
        self._unit = options.weight_norm == "unit"
        self.gain = None
        if options.weight_norm == "gain":
            windowed = self.weight.detach() if self._window is None else self.weight.detach() * self._window
            self.gain = nn.Parameter(norms(windowed).flatten())

    def kernel(self) -> Tensor:
        """Kernels that are applied, (out_channels, in_channels / groups, T, H, W)."""
        return kernel_of(self.weight, self._window, self.gain, unit=self._unit)

    def forward(self, features: Tensor) -> Tensor:
        """Convolve: (B, C, T, H, W) -> (B, C', T - kernel + 1, H', W')."""
        return nn.functional.conv3d(
            features, self.kernel(), self.bias, self.stride, self.padding, self.dilation, self.groups
        )


def convolution(
    in_channels: int,
    out_channels: int,
    kernel: tuple[int, int, int],
    stride: int,
    options: LayersOptions,
    *,
    bias: bool,
) -> nn.Module:
    """Convolution of the options' kind: whole, space before time, or each channel before their mixture."""
    time, height, width = kernel
    if options.separable == "space_time" and time > 1 and height * width > 1:
        return nn.Sequential(
            Convolution(in_channels, out_channels, (1, height, width), stride, options, bias=False),
            Convolution(out_channels, out_channels, (time, 1, 1), 1, options, bias=bias),
        )
    if options.separable == "depthwise" and math.prod(kernel) > 1:
        return nn.Sequential(
            Convolution(in_channels, in_channels, kernel, stride, options, groups=in_channels, bias=False),
            Convolution(in_channels, out_channels, (1, 1, 1), 1, options, bias=bias),
        )
    return Convolution(in_channels, out_channels, kernel, stride, options, bias=bias)


def _window(kernel: tuple[int, int, int], options: LayersOptions) -> Tensor | None:
    """Window over a kernel, broadcastable to it, or None where it would be 1 everywhere."""
    chosen = {"none": (), "time": (0,), "space": (1, 2), "space_time": (0, 1, 2)}[options.window]
    window: Tensor | None = None
    for axis in chosen:
        if kernel[axis] > 1:
            power = 1.0 if options.window_power is None else options.window_power
            factor = hann(kernel[axis], power).view([-1 if place == axis else 1 for place in range(3)])
            window = factor if window is None else window * factor
    return window


def out_size(size: tuple[int, int], kernel: tuple[int, int, int], stride: int) -> tuple[int, int]:
    """Height and width after a convolution whose kernels may reach beyond the border.

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
