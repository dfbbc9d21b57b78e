"""Residual blocks over time and space. B windows, C channels, T frames, H, W pixels."""

from __future__ import annotations

from torch import Tensor, nn

from visioncore_engine.contracts import StageFacts
from visioncore_neural.options.stage import LayerShape, Resnet3dOptions
from visioncore_neural.stages.blocks import LayeredStage, biased, parts
from visioncore_neural.stages.layers import Convolution, activation, width_after
from visioncore_neural.stages.pooling import after_layer, pooled_size

__all__ = ["Resnet3d"]


class _Block(nn.Module):
    def __init__(self, options: Resnet3dOptions, layer: LayerShape, in_channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        channels, kernel, stride, pool = layer
        order = options.order[:-1]
        before = order[: order.index("convolution")]
        # A nonlinearity behind the convolution is that of the sum.
        again = [part for part in order if part in {"convolution", "norm"} or part in before]
        first, features = parts(options, layer, (in_channels, size), order)
        second, (_, size) = parts(options, layer._replace(stride=1), features, again)
        self.main = nn.Sequential(*first, *second)
        if options.zero_start:
            nn.init.zeros_(self.main[-1].get_parameter("weight"))
        same = in_channels == channels and stride == 1
        bias = biased(options)
        self.shortcut = (
            nn.Identity() if same else Convolution(in_channels, channels, (1, 1, 1), stride, options, bias=bias)
        )
        self.activation = activation(options, channels) if options.activate_sum else nn.Identity()
        self.channels = width_after(options.activation, channels) if options.activate_sum else channels
        self.after = nn.Sequential(*after_layer(options, self.channels, pool, size))
        self.size = pooled_size(options, size, pool)
        self.history = 2 * (kernel[0] - 1)

    def forward(self, features: Tensor) -> Tensor:
        # Frame t of the main path has seen frames t … t + history: the shortcut's last frames belong to it.
        shortcut = self.shortcut(features[:, :, self.history :])
        output: Tensor = self.after(self.activation(self.main(features) + shortcut))
        return output


class Resnet3d(LayeredStage):
    """Residual blocks of two convolutions with normalisation, valid in time: an output frame sees no later frame.

    Each entry of `channels` is a block; its first convolution has the stride. The shortcut is the identity, or a
    convolution of a single tap where channels or size change, over the last frames. Gate and pooling follow the sum.

    Attributes
    ----------
    out_shape, history, burn_in
        As every stage; a block adds ``2 (kernel_size[0] - 1)`` frames of history.
    """

    def __init__(self, options: Resnet3dOptions, facts: StageFacts) -> None:
        super().__init__(options)
        channels, *rest = facts.in_shape
        size = (rest[0], rest[1])
        blocks: list[_Block] = []
        for layer in options.layers:
            block = _Block(options, layer, channels, size)
            blocks.append(block)
            channels, size = block.channels, block.size
        self.blocks = nn.Sequential(*blocks)
        self.out_shape = (channels, *size)
        self.history = sum(block.history for block in blocks)

    def forward(self, features: Tensor) -> Tensor:
        """Run the stage: (B, C, T, H, W) -> (B, C', T - history, H', W')."""
        output: Tensor = self.blocks(features)
        return output
