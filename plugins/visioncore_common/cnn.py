"""A small convolutional network with a linear head per group. B examples, C channels, H, W pixels."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from visioncore_common.names import module_name
from visioncore_common.options.model import CNNOptions
from visioncore_engine.contracts import Batch, GroupSpec, ModelFacts
from visioncore_engine.errors import ConfigError, Problem

__all__ = ["CNN"]


class CNN(nn.Module):
    """Blocks of convolution, normalisation and ReLU with pooling between them, a grid of averages, and linear heads.

    The core is shared; each group has a head per task. No layer looks across examples, so that an example's outputs do
    not depend on what else is in its batch.

    Raises
    ------
    ConfigError
        Where the groups' examples differ in shape.
    """

    history = 0

    def __init__(self, options: CNNOptions, facts: ModelFacts) -> None:
        super().__init__()
        widths = [_common_shape(facts.groups)[0], *options.channels]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [*_block(options, before, after), _pool(options.pooling)]
        layers[-1] = nn.AdaptiveAvgPool2d(options.grid)
        self.core = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(options.dropout))
        size = widths[-1] * math.prod(options.grid)
        self.heads = nn.ModuleDict({module_name(group.name): _heads(group, size) for group in facts.groups})

    def forward(self, batch: Batch) -> list[dict[str, Tensor]]:
        """Predict the classes of each group: task -> (B, classes), before the softmax."""
        sizes = [len(group.items) for group in batch.groups]
        features = self.core(torch.cat([group.inputs for group in batch.groups])).split(sizes)
        outputs = []
        for group, own in zip(batch.groups, features, strict=True):
            heads = self.heads[module_name(group.name)]
            assert isinstance(heads, nn.ModuleDict)
            outputs.append({task: heads[module_name(task)](own) for task in group.targets})
        return outputs


def _block(options: CNNOptions, before: int, after: int) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, options.kernel_size, padding="same", bias=options.norm == "none")
    norm = [nn.GroupNorm(math.gcd(after, 8), after)] if options.norm == "group" else []
    return [convolution, *norm, nn.ReLU()]


def _pool(pooling: str) -> nn.Module:
    # With ceil_mode a side of one pixel stays one: small images need fewer blocks, but never fail.
    return nn.MaxPool2d(2, ceil_mode=True) if pooling == "max" else nn.AvgPool2d(2, ceil_mode=True)


def _heads(group: GroupSpec, size: int) -> nn.ModuleDict:
    return nn.ModuleDict({module_name(task): nn.Linear(size, target.size) for task, target in group.targets.items()})


def _common_shape(groups: tuple[GroupSpec, ...]) -> tuple[int, ...]:
    shapes = {group.input_shape: group.name for group in groups}
    if len(shapes) > 1 or any(len(shape) != 3 for shape in shapes):
        raise ConfigError(
            Problem(
                what="cnn takes examples (C, H, W) of one shape in all groups",
                key="model",
                given=", ".join(f"{shape} in {name!r}" for shape, name in shapes.items()),
                todo="choose another model, or files of one shape",
            )
        )
    return next(iter(shapes))
