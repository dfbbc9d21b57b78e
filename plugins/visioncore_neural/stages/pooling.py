"""Smaller pictures, and gates of channels. B windows, C channels, T frames, H, W pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visioncore_neural.options.stage import LayersOptions

__all__ = ["AttentionPool", "Squeeze", "WindowPool", "after_layer", "pooled_size"]


class WindowPool(nn.Module):
    """Every `factor`-th pixel of a picture seen through a triangular window (Zhang, ICML 2019); time stays.

    The window spans ``2 factor - 1`` pixels along each axis that has more than one, is centred on the pixel that is
    kept, and sums to 1; beyond the border the nearest pixel is seen. It moves nothing, and a uniform picture stays.

    Parameters
    ----------
    channels, factor, size
        Of the features; `size` is (H, W).
    learned
        A window for each channel, that starts as the triangle.
    """

    def __init__(self, channels: int, factor: int, size: tuple[int, int], *, learned: bool) -> None:
        super().__init__()
        reach = [factor - 1 if pixels > 1 else 0 for pixels in size]
        rows, columns = (_triangle(number) for number in reach)
        window = (rows[:, None] * columns).expand(channels, 1, 1, -1, -1).contiguous()
        if learned:
            self.weight = nn.Parameter(window)
        else:
            self.register_buffer("weight", window, persistent=False)
        self._factor, self._channels = factor, channels
        self._pad = (reach[1], reach[1], reach[0], reach[0], 0, 0)

    weight: Tensor

    def forward(self, features: Tensor) -> Tensor:
        """Pool: (B, C, T, H, W) -> (B, C, T, ceil(H / factor), ceil(W / factor))."""
        padded = nn.functional.pad(features, self._pad, mode="replicate")
        stride = (1, self._factor, self._factor)
        return nn.functional.conv3d(padded, self.weight, stride=stride, groups=self._channels)


class AttentionPool(nn.Module):
    """Average over each window of `factor` pixels under weights that the features decide; time stays.

    The weights are ``exp(score)`` over their sum in the window, with one score for all channels of a pixel, a linear
    function of them that starts at 0: it starts as the average. At the border over the pixels that there are.

    Parameters
    ----------
    channels, factor, size
        Of the features; `size` is (H, W).
    """

    def __init__(self, channels: int, factor: int, size: tuple[int, int]) -> None:
        super().__init__()
        window = (1, min(factor, size[0]), min(factor, size[1]))
        self.average = nn.AvgPool3d(window, window, ceil_mode=True, count_include_pad=False)
        self._largest = nn.MaxPool3d(window, window, ceil_mode=True)
        self._window, self._size = window, size
        self.score = nn.Conv3d(channels, 1, 1, bias=False)
        nn.init.zeros_(self.score.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Pool: (B, C, T, H, W) -> (B, C, T, ceil(H / factor), ceil(W / factor))."""
        score = self.score(features)
        with torch.no_grad():  # any number that the pixels of a window share cancels; the largest keeps exp in bounds
            largest = self._largest(score)
            for axis in (3, 4):
                largest = largest.repeat_interleave(self._window[axis - 2], dim=axis)
            largest = largest[..., : self._size[0], : self._size[1]]
        weight = torch.exp(score - largest)
        pooled: Tensor = self.average(features * weight) / self.average(weight)
        return pooled


class Squeeze(nn.Module):
    """Squeeze and excitation of every frame (Hu et al., CVPR 2018): channels times a gate between 0 and 2.

    The gate is ``2 sigmoid(perceptron(mean over pixels))``; its last layer starts at 0, so that it starts as the
    identity.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(channels // reduction, 1)
        self.hidden = nn.Linear(channels, hidden)
        self.output = nn.Linear(hidden, channels)
        with torch.no_grad():
            self.output.weight.zero_()
            self.output.bias.zero_()

    def forward(self, features: Tensor) -> Tensor:
        """Scale the channels of each frame."""
        means = features.mean(dim=(3, 4)).transpose(1, 2)  # (B, T, C)
        gate = 2 * torch.sigmoid(self.output(nn.functional.elu(self.hidden(means))))
        return features * gate.transpose(1, 2)[..., None, None]


def pooled_size(options: LayersOptions, size: tuple[int, int], factor: int) -> tuple[int, int]:
    """Height and width after pooling."""
    if options.pool_to is not None:
        return min(size[0], options.pool_to[0]), min(size[1], options.pool_to[1])
    return -(-size[0] // factor), -(-size[1] // factor)


def after_layer(options: LayersOptions, channels: int, factor: int, size: tuple[int, int]) -> list[nn.Module]:
    """Gate and pooling behind a layer with features of `size`; what the options do not ask for is left out."""
    layers: list[nn.Module] = []
    if options.squeeze is not None:
        layers.append(Squeeze(channels, options.squeeze))
    to = pooled_size(options, size, factor)
    if options.pool_to is None and factor > 1:
        layers.append(_pool(options.pool, channels, factor, size))
    elif options.pool_to is not None and to != size:
        kind = nn.AdaptiveMaxPool3d if options.pool == "adaptive_max" else nn.AdaptiveAvgPool3d
        layers.append(kind((None, *to)))
    return layers


def _pool(kind: str, channels: int, factor: int, size: tuple[int, int]) -> nn.Module:
    window = (1, min(factor, size[0]), min(factor, size[1]))
    if kind == "max":
        return nn.MaxPool3d(window, window, ceil_mode=True)
    if kind == "average":  # at the border over the pixels that there are
        return nn.AvgPool3d(window, window, ceil_mode=True, count_include_pad=False)
    if kind == "attention":
        return AttentionPool(channels, factor, size)
    return WindowPool(channels, factor, size, learned=kind == "learned")


def _triangle(reach: int) -> Tensor:
    window = reach + 1 - torch.arange(-reach, reach + 1, dtype=torch.float64).abs()
    return (window / window.sum()).to(torch.get_default_dtype())
