"""Perceptron over side inputs. B windows, T frames, K values of a side input."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

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
    """

    def __init__(self, options: SideOptions, side: Mapping[str, int], num_outputs: int) -> None:
        super().__init__()
        self._inputs = options.inputs
        size = sum(side[name] for name in options.inputs)
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
