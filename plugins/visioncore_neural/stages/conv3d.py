"""A stack of convolutions over time and space. B windows, C channels, T frames, H, W pixels."""

from __future__ import annotations

from torch import Tensor, nn

from visioncore_engine.contracts import StageFacts
from visioncore_neural.options.stage import Conv3dOptions
from visioncore_neural.stages.layers import ACTIVATIONS, convolution, out_size, width_after
from visioncore_neural.stages.norms import norm
from visioncore_neural.stages.pooling import after_layer, pooled_size

__all__ = ["Conv3d"]


class Conv3d(nn.Module):
    """Convolution, normalisation, nonlinearity, dropout, gate, pooling, as many times as there are `channels`.

    Convolutions are valid in time: nothing is padded, and an output frame sees `history` earlier frames and no later
    one.

    Attributes
    ----------
    out_shape, history, burn_in
        As every stage.
    batch_statistics, stochastic
        Whether it normalises over the batch, or draws at random in training.
    """

    burn_in = 0

    def __init__(self, options: Conv3dOptions, facts: StageFacts) -> None:
        super().__init__()
        channels, *rest = facts.in_shape
        size = (rest[0], rest[1])
        layers: list[nn.Module] = []
        for out_channels, kernel, stride, pool in options.layers:
            size = out_size(size, kernel, stride)
            layers += [
                convolution(channels, out_channels, kernel, stride, options, bias=options.norm == "none"),
                norm(options, out_channels, size),
                ACTIVATIONS[options.activation](),
            ]
            channels = width_after(options.activation, out_channels)
            layers += [nn.Dropout(options.dropout), *after_layer(options, channels, pool, size)]
            size = pooled_size(size, pool)
        self.layers = nn.Sequential(*layers)
        self.out_shape = (channels, *size)
        self.history = sum(kernel[0] - 1 for kernel in options.kernels)
        self.batch_statistics = options.norm == "batch"
        self.stochastic = options.dropout > 0

    def forward(self, features: Tensor) -> Tensor:
        """Run the stage: (B, C, T, H, W) -> (B, C', T - history, H', W')."""
        convolved: Tensor = self.layers(features)
        return convolved
