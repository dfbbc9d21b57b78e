"""A stack of convolutions over time and space. B windows, C channels, T frames, H, W pixels."""

from __future__ import annotations

from torch import Tensor, nn

from visioncore_engine.contracts import StageFacts
from visioncore_neural.options.stage import Conv3dOptions
from visioncore_neural.stages.blocks import LayeredStage, parts

__all__ = ["Conv3d"]


class Conv3d(LayeredStage):
    """Convolution, normalisation, nonlinearity, dropout, gate, pooling, as many times as there are `channels`.

    That is the usual `order` of a layer.

    Convolutions are valid in time: nothing is padded, and an output frame sees `history` earlier frames and no later
    one.

    Attributes
    ----------
    out_shape, history, burn_in
        As every stage.
    """

    def __init__(self, options: Conv3dOptions, facts: StageFacts) -> None:
        super().__init__(options)
        channels, *rest = facts.in_shape
        size = (rest[0], rest[1])
        layers: list[nn.Module] = []
        for layer in options.layers:
            modules, (channels, size) = parts(options, layer, (channels, size), options.order)
            layers += modules
        self.layers = nn.Sequential(*layers)
        self.out_shape = (channels, *size)
        self.history = sum(kernel[0] - 1 for kernel in options.kernels)

    def forward(self, features: Tensor) -> Tensor:
        """Run the stage: (B, C, T, H, W) -> (B, C', T - history, H', W')."""
        convolved: Tensor = self.layers(features)
        return convolved
