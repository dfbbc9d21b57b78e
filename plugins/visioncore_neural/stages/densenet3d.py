"""Dense layers over time and space. B windows, C channels, T frames, H, W pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import StageFacts
from visioncore_neural.options.stage import Densenet3dOptions, LayerShape
from visioncore_neural.stages.blocks import LayeredStage, parts
from visioncore_neural.stages.pooling import after_layer, pooled_size

__all__ = ["Densenet3d"]


class _Layer(nn.Module):
    def __init__(self, options: Densenet3dOptions, layer: LayerShape, in_channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        modules, (growth, size) = parts(options, layer, (in_channels, size), options.order[:-1])
        self.main = nn.Sequential(*modules)
        self.channels = in_channels + growth
        self.after = nn.Sequential(*after_layer(options, self.channels, layer.pool, size))
        self.size = pooled_size(options, size, layer.pool)
        self.history = layer.kernel[0] - 1

    def forward(self, features: Tensor) -> Tensor:
        # Frame t of the main path has seen frames t … t + history: the input's last frames belong to it.
        output: Tensor = self.after(torch.cat([features[:, :, self.history :], self.main(features)], dim=1))
        return output


class Densenet3d(LayeredStage):
    """Layers that see all that came before them, and append their channels to it (Huang et al., CVPR 2017).

    An entry of `channels` is what a layer appends: convolution, normalisation, nonlinearity, dropout. Gate and pooling
    follow on old and new channels together. Convolutions are valid in time, and the last frames of what is passed on
    lie beside them: an output frame sees no later frame.

    Attributes
    ----------
    out_shape, history, burn_in
        As every stage.
    """

    def __init__(self, options: Densenet3dOptions, facts: StageFacts) -> None:
        super().__init__(options)
        channels, *rest = facts.in_shape
        size = (rest[0], rest[1])
        layers = []
        for shape in options.layers:
            layer = _Layer(options, shape, channels, size)
            layers.append(layer)
            channels, size = layer.channels, layer.size
        self.layers = nn.Sequential(*layers)
        self.out_shape = (channels, *size)
        self.history = sum(layer.history for layer in layers)

    def forward(self, features: Tensor) -> Tensor:
        """Run the stage: (B, C, T, H, W) -> (B, C', T - history, H', W')."""
        output: Tensor = self.layers(features)
        return output
