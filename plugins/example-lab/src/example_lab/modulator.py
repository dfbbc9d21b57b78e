"""The modulator `scalar_gain`."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from example_lab.options import ScalarGainOptions
from visioncore_engine.contracts import ModulatorFacts
from visioncore_engine.errors import ConfigError, Problem, nearest

__all__ = ["ScalarGain"]


class ScalarGain(nn.Module):
    """All features of a frame times one gain, ``max_gain ** tanh(w . side)``: 1 at the start, and never 0.

    Parameters
    ----------
    options
        What the run file says.
    facts
        Shape of the features (C, H, W) and the size of each side input.

    Raises
    ------
    ConfigError
        Where the data have no such side input.
    """

    identity_at_start = True

    def __init__(self, options: ScalarGainOptions, facts: ModulatorFacts) -> None:
        super().__init__()
        if options.side not in facts.side:
            close = nearest(options.side, facts.side)
            raise ConfigError(
                Problem(
                    what="not every group of the data has this side input; "
                    f"all have: {', '.join(facts.side) or 'none'}",
                    key="side",
                    given=repr(options.side),
                    todo=f"did you mean {close!r}?" if close else "choose another modulator, or none",
                )
            )
        self.out_shape = facts.in_shape
        self.side = options.side
        self.log_max = math.log(options.max_gain)
        self.weight = nn.Parameter(torch.zeros(facts.side[options.side]))

    def forward(self, features: Tensor, side: Mapping[str, Tensor]) -> Tensor:
        """Scale `features` (B, C, T, H, W) by a gain (B, T) of the side input (B, T, K); the shape stays."""
        gain = torch.exp(self.log_max * torch.tanh(side[self.side] @ self.weight))
        return features * gain[:, None, :, None, None]
