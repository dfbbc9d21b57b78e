"""Features shifted by the eye. B windows, C channels, T frames, H, W pixels of the features."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import ModulatorFacts
from visioncore_engine.errors import ConfigError, Problem
from visioncore_neural.modulators.perceptron import SidePerceptron
from visioncore_neural.options.modulator import ShifterOptions

__all__ = ["Shifter"]


class Shifter(nn.Module):
    """Every frame shifted by ``max_shift tanh(u)`` of its half width and height, u from a perceptron over side inputs.

    A positive shift lets a readout see what lies to the right of, or below, the place where it looks; between pixels
    features are interpolated linearly, and beyond the border the nearest pixel is seen. The output layer starts at 0:
    the modulator is exactly the identity until it has learned. An axis with a single pixel is not shifted.

    Attributes
    ----------
    out_shape
        As every modulator.

    Raises
    ------
    ConfigError
        Where the features have no space to shift in.
    """

    identity_at_start = True

    def __init__(self, options: ShifterOptions, facts: ModulatorFacts) -> None:
        super().__init__()
        _, height, width = facts.in_shape
        self._axes = [axis for axis, size in ((4, width), (3, height)) if size > 1]
        if not self._axes:
            raise ConfigError(
                Problem(what="features of a single pixel cannot be shifted", todo="leave the shifter out")
            )
        self.out_shape = facts.in_shape
        self._max_shift = options.max_shift
        self.perceptron = SidePerceptron(options, facts.side, len(self._axes))
        nn.init.zeros_(self.perceptron.output.weight)
        nn.init.zeros_(self.perceptron.output.bias)

    def shift(self, side: Mapping[str, Tensor]) -> Tensor:
        """Shift of each frame in half widths and heights, as (x, y) without axes of a single pixel, (B, T, 1 or 2)."""
        return self._max_shift * torch.tanh(self.perceptron(side)[..., 0, 0].transpose(1, 2))

    def forward(self, features: Tensor, side: Mapping[str, Tensor]) -> Tensor:
        """Modulate: features (B, C, T, H, W) by {name: (B, T, K)}."""
        for axis, shift in zip(self._axes, self.shift(side).unbind(2), strict=True):
            size = features.shape[axis]
            weights = _interpolation(shift * (size - 1) / 2, size).to(features.dtype)
            equation = "bcthw,btwv->bcthv" if axis == 4 else "bcthw,bthv->bctvw"
            features = torch.einsum(equation, features, weights)
        return features


def _interpolation(shift: Tensor, size: int) -> Tensor:
    """Linear interpolation at pixel v + shift, (B, T, size, size) from pixel to v."""
    pixels = torch.arange(size, dtype=shift.dtype, device=shift.device)
    places = (pixels + shift[..., None]).clamp(0, size - 1)  # (B, T, v)
    return (1 - (pixels[:, None] - places[..., None, :]).abs()).clamp(min=0)
