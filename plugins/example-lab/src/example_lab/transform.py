"""The transform `contrast_jitter`. B windows."""

from __future__ import annotations

import dataclasses
import math

import torch

from example_lab.options import ContrastJitterOptions
from visioncore_engine.contracts import Batch, Group, TransformFacts
from visioncore_engine.data import uniforms

__all__ = ["ContrastJitter"]


class ContrastJitter:
    """Multiplies the inputs of each training window by a factor between ``1 / max_factor`` and ``max_factor``.

    Factors are uniform in the logarithm. That of a window is a function of the key (seed and epoch), its group and its
    number: whatever else is in the batch, and on whichever process it lies.

    Parameters
    ----------
    options
        What the run file says.
    facts
        The groups.
    """

    training_only = True

    def __init__(self, options: ContrastJitterOptions, facts: TransformFacts) -> None:
        del facts  # factors need no shapes
        self._bound = math.log(options.max_factor)

    def __call__(self, batch: Batch, key: int) -> Batch:
        """Return a changed copy of the batch."""
        return Batch([self._changed(group, key) for group in batch.groups])

    def _changed(self, group: Group, key: int) -> Group:
        draws = uniforms(group.items.cpu().numpy(), 1, "contrast_jitter", key, group.name)  # (B, 1)
        factors = torch.from_numpy(draws).mul(2).sub(1).mul(self._bound).exp().to(group.inputs)
        return dataclasses.replace(group, inputs=group.inputs * factors.view(-1, *[1] * (group.inputs.ndim - 1)))
