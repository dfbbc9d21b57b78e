"""The parts of a convolutional layer, one behind the other. B windows, C channels, T frames, H, W pixels."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from visioncore_neural.options.stage import LayerShape, LayersOptions, Part
from visioncore_neural.stages.layers import activation, convolution, out_size, width_after
from visioncore_neural.stages.norms import norm
from visioncore_neural.stages.pooling import after_layer, pooled_size

__all__ = ["Features", "LayeredStage", "biased", "parts"]

Features = tuple[int, tuple[int, int]]
"""Channels, and height and width."""


class LayeredStage(nn.Module):
    """What convolutional stages say of themselves.

    Attributes
    ----------
    burn_in
        0: a convolution remembers nothing.
    batch_statistics, stochastic
        Whether it normalises over the batch, or draws at random in training.
    """

    burn_in = 0

    def __init__(self, options: LayersOptions) -> None:
        super().__init__()
        self.batch_statistics = options.norm == "batch"
        self.stochastic = options.dropout > 0


def biased(options: LayersOptions) -> bool:
    """Whether convolutions have an offset: not where a norm behind them has one."""
    return options.norm == "none" or options.order.index("norm") < options.order.index("convolution")


def parts(
    options: LayersOptions, layer: LayerShape, features: Features, order: Iterable[Part]
) -> tuple[list[nn.Module], Features]:
    """Make parts of a layer, in order; return them, and what features they make.

    Parameters
    ----------
    options, layer
        Of the stage and of the layer.
    features
        Channels and size of what the layer is given.
    order
        Which parts; the convolution may be there once.

    Raises
    ------
    ConfigError
        As `out_size` and `norm`.
    """
    channels, size = features
    modules: list[nn.Module] = []
    for part in order:
        if part == "convolution":
            kernel, stride = layer.kernel, layer.stride
            size = out_size(size, kernel, stride)
            modules.append(convolution(channels, layer.channels, kernel, stride, options, bias=biased(options)))
            channels = layer.channels
        elif part == "norm":
            modules.append(norm(options, channels, size))
        elif part == "activation":
            modules.append(activation(options, channels))
            channels = width_after(options.activation, channels)
        elif part == "dropout":
            modules.append(nn.Dropout(options.dropout))
        else:
            modules += after_layer(options, channels, layer.pool, size)
            size = pooled_size(options, size, layer.pool)
    return modules, (channels, size)
