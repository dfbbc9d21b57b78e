"""The stage `divisive`. B windows, C channels, T frames, H, W pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from example_lab.options import DivisiveOptions
from visioncore_engine.contracts import StageFacts

__all__ = ["Divisive"]


class Divisive(nn.Module):
    """Divisive normalisation: ``x_c / (sigma_c + mean over channels of |x|)`` at every pixel of every frame.

    After Carandini & Heeger (2012), "Normalization as a canonical neural computation", with a pool of all channels.

    Parameters
    ----------
    options
        What the run file says.
    facts
        Shape of the features (C, H, W).

    Attributes
    ----------
    log_sigma
        (C,): the logarithm keeps sigma above 0.
    """

    history = 0
    burn_in = 0

    def __init__(self, options: DivisiveOptions, facts: StageFacts) -> None:
        super().__init__()
        self.out_shape = facts.in_shape
        self.log_sigma = nn.Parameter(torch.full((facts.in_shape[0],), math.log(options.sigma)))

    def forward(self, features: Tensor) -> Tensor:
        """Normalise (B, C, T, H, W); the shape stays."""
        sigma = self.log_sigma.exp()[:, None, None, None]
        return features / (sigma + features.abs().mean(dim=1, keepdim=True))
