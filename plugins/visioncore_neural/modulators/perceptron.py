"""Perceptron over side inputs. B windows, T frames, K values of a side input."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from visioncore_engine.errors import ConfigError, Problem, nearest
from visioncore_neural.options.modulator import SideOptions
from visioncore_neural.stages.layers import ACTIVATIONS

__all__ = ["SidePerceptron"]


class SidePerceptron(nn.Module):
    """Concatenated side inputs, hidden layers, and a linear output layer `output`.

    Parameters
    ----------
    options
        Which side inputs, and which hidden layers.
    side
        Size of each side input that there is.
    num_outputs
        Size of the output.

    Raises
    ------
    ConfigError
        Where there is no such side input.
    """

    def __init__(self, options: SideOptions, side: Mapping[str, int], num_outputs: int) -> None:
        super().__init__()
        self._inputs = options.inputs
        size = sum(_size(side, name) for name in options.inputs)
        hidden: list[nn.Module] = []
        for width in options.hidden:
            hidden += [nn.Linear(size, width), ACTIVATIONS[options.activation]()]
            size = width
        self.hidden = nn.Sequential(*hidden)
        self.output = nn.Linear(size, num_outputs)

    def forward(self, side: Mapping[str, Tensor]) -> Tensor:
        """Output at every frame, as channels: {name: (B, T, K)} -> (B, num_outputs, T, 1, 1)."""
        values: Tensor = self.output(self.hidden(torch.cat([side[name] for name in self._inputs], dim=-1)))
        return values.transpose(1, 2)[..., None, None]


def _size(side: Mapping[str, int], name: str) -> int:
    try:
        return side[name]  # a model's own mapping may say better what lacks it, by an error of its own
    except KeyError:
        close = nearest(name, side)
        todo = f"did you mean {close!r}?" if close else "choose other `inputs`, or leave the modulator out"
        what = f"there is no such side input; there are {', '.join(side) or 'none'}"
        raise ConfigError(Problem(what=what, key="inputs", given=repr(name), todo=todo)) from None
