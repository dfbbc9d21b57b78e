"""Residual blocks over time and space. B windows, C channels, T frames, H, W pixels."""

from __future__ import annotations

from torch import Tensor, nn

from visioncore_engine.contracts import StageFacts
from visioncore_neural.options.stage import Resnet3dOptions
from visioncore_neural.stages.layers import ACTIVATIONS, convolution, norm, out_size

__all__ = ["Resnet3d"]


class _Block(nn.Module):
    def __init__(
        self, options: Resnet3dOptions, in_channels: int, channels: int, kernel: tuple[int, int, int], stride: int
    ) -> None:
        super().__init__()
        bias = options.norm == "none"
        self.main = nn.Sequential(
            convolution(in_channels, channels, kernel, stride, bias=bias),
            norm(options, channels),
            ACTIVATIONS[options.activation](),
            nn.Dropout(options.dropout),
            convolution(channels, channels, kernel, 1, bias=bias),
            norm(options, channels),
        )
        same = in_channels == channels and stride == 1
        self.shortcut = nn.Identity() if same else convolution(in_channels, channels, (1, 1, 1), stride, bias=bias)
        self.activation = ACTIVATIONS[options.activation]()
        self.history = 2 * (kernel[0] - 1)

    def forward(self, features: Tensor) -> Tensor:
        # Frame t of the main path has seen frames t … t + history: the shortcut's last frames belong to it.
        shortcut = self.shortcut(features[:, :, self.history :])
        output: Tensor = self.activation(self.main(features) + shortcut)
        return output


class Resnet3d(nn.Module):
    """Residual blocks of two convolutions with normalisation, valid in time: an output frame sees no later frame.

    Each entry of `channels` is a block; its first convolution has the stride. The shortcut is the identity, or a
    convolution of a single tap where channels or size change, over the last frames.

    Attributes
    ----------
    out_shape, history, burn_in
        As every stage; a block adds ``2 (kernel_size[0] - 1)`` frames of history.
    batch_statistics, stochastic
        Whether it normalises over the batch, or draws at random in training.
    """

    burn_in = 0

    def __init__(self, options: Resnet3dOptions, facts: StageFacts) -> None:
        super().__init__()
        channels, *rest = facts.in_shape
        size = (rest[0], rest[1])
        blocks = []
        for out_channels, kernel, stride in zip(options.channels, options.kernels, options.strides, strict=True):
            size = out_size(out_size(size, kernel, stride), kernel, 1)
            blocks.append(_Block(options, channels, out_channels, kernel, stride))
            channels = out_channels
        self.blocks = nn.Sequential(*blocks)
        self.out_shape = (channels, *size)
        self.history = sum(block.history for block in blocks)
        self.batch_statistics = options.norm == "batch"
        self.stochastic = options.dropout > 0

    def forward(self, features: Tensor) -> Tensor:
        """Run the stage: (B, C, T, H, W) -> (B, C', T - history, H', W')."""
        output: Tensor = self.blocks(features)
        return output
