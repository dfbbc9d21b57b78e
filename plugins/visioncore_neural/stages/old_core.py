"""Core of a VisionCore model. B windows, C channels, T frames, K frames of a window, S steps, H, W pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import StageFacts
from visioncore_engine.errors import ConfigError, Problem
from visioncore_neural.options.old_core import OldCoreOptions, OldLayerOptions
from visioncore_neural.stages.layers import ACTIVATIONS
from visioncore_neural.stages.old_frontends import old_frontend
from visioncore_neural.stages.old_layers import OldLayer, Size, cropped

__all__ = ["OldCore"]


class OldCore(nn.Module):
    """What a VisionCore model made of the window behind each prediction, for weights that were learned there.

    A prediction sees its own frame and the `num_lags` - 1 frames before it, and nothing else: each such window is
    turned round (newest frame first) and goes through all layers on its own. So it may do what no other stage may:
    repeat the newest frame beyond the window, pool time on a grid that begins with the newest frame, and normalise over
    all frames of the window. It costs as much per predicted frame as it did there.

    Attributes
    ----------
    num_steps
        S, steps of a window that are left after the last layer.
    out_shape
        (C, H, W) of the oldest step, or (S C, H, W) of all of them, newest first.
    history, burn_in
        `num_lags` - 1, and 0.
    batch_statistics, stochastic
        Whether a layer normalises over the batch, or draws at random in training.

    Raises
    ------
    ConfigError
        Where a window is too short or a picture too small for the layers.
    """

    burn_in = 0

    def __init__(self, options: OldCoreOptions, facts: StageFacts) -> None:
        super().__init__()
        channels, height, width = facts.in_shape
        size: Size = (options.num_lags, height, width)
        self.history = options.num_lags - 1
        self.frontend: nn.Module | None = None
        if options.frontend is not None:
            self.frontend, channels, size = old_frontend(options.frontend, channels, size)
        self.stem: OldLayer | None = None
        if options.stem is not None:
            self.stem = OldLayer(options.stem, channels, size, "stem")
            channels, size = self.stem.channels, self.stem.size
        joints: list[_Plain | _Residual | _Dense] = []
        for number, layer in enumerate(options.layers):
            where = f"layers.{number}"
            if options.join == "residual":
                joint: _Plain | _Residual | _Dense = _Residual(layer, channels, size, where, options.sum_activation)
            else:
                joint = (_Dense if options.join == "dense" else _Plain)(layer, channels, size, where)
            joints.append(joint)
            channels, size = joint.channels, joint.size
        self.layers = nn.ModuleList(joints)
        self.num_steps, height, width = size
        self._all = options.steps == "all"
        self.out_shape = (self.num_steps * channels if self._all else channels, height, width)
        given = [*([] if options.stem is None else [options.stem]), *options.layers]
        self.batch_statistics = any(layer.norm == "batch" for layer in given)
        self.stochastic = any(layer.dropout > 0 for layer in given)

    def forward(self, features: Tensor) -> Tensor:
        """Run the stage: (B, C, T, H, W) -> (B, C', T - history, H', W')."""
        num_lags = self.history + 1
        ends = range(num_lags, features.shape[2] + 1)
        # One prediction after another: all windows at once would be `num_lags` times the features in memory.
        return torch.stack([self._window(features[:, :, end - num_lags : end].flip(2)) for end in ends], dim=2)

    def _window(self, features: Tensor) -> Tensor:
        """(B, C, K, H, W), newest frame first -> (B, C', H', W')."""
        for part in (self.frontend, self.stem, *self.layers):
            if part is not None:
                features = part(features)
        return features.transpose(1, 2).flatten(1, 2) if self._all else features[:, :, -1]


class _Plain(OldLayer):
    """A layer as it is."""


class _Residual(nn.Module):
    """A layer and a shortcut around it; of each, the last steps and the middle pixels that both have."""

    def __init__(self, options: OldLayerOptions, channels: int, size: Size, where: str, activation: str) -> None:
        super().__init__()
        self.main = OldLayer(options, channels, size, where)
        self.channels = self.main.channels
        stride = options.shortcut_stride
        same = channels == self.channels and stride == (1, 1, 1)
        self.shortcut = nn.Identity() if same else nn.Conv3d(channels, self.channels, 1, stride=stride, bias=False)
        around = [(given - 1) // step + 1 for given, step in zip(size, stride, strict=True)]
        self.size: Size = tuple(map(min, self.main.size, around))  # type: ignore[assignment]  # three of three
        self.activation = ACTIVATIONS[activation]()

    def forward(self, features: Tensor) -> Tensor:
        total = cropped(self.main(features), self.size) + cropped(self.shortcut(features), self.size)
        output: Tensor = self.activation(total)
        return output


class _Dense(nn.Module):
    """A layer whose channels are appended to those that it sees, of the last steps and middle pixels that it keeps."""

    def __init__(self, options: OldLayerOptions, channels: int, size: Size, where: str) -> None:
        super().__init__()
        self.main = OldLayer(options, channels, size, where)
        self.channels, self.size = channels + self.main.channels, self.main.size
        if any(made > given for made, given in zip(self.size, size, strict=True)):
            what = f"makes {self.size} (steps, height, width) from {size}, and nothing of that size to append it to"
            raise ConfigError(Problem(key=where, what=what, todo="lower its `padding`"))

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([cropped(features, self.size), self.main(features)], dim=1)
