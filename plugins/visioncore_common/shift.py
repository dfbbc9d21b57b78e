"""Shifting training examples. B examples, C channels, T frames, H, W pixels."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from visioncore_common.options.transform import ShiftOptions
from visioncore_engine.contracts import Batch, Group, TransformFacts
from visioncore_engine.data import uniforms

__all__ = ["Shift"]


class Shift:
    """Moves each example by whole pixels, all its channels and frames alike; the border pixels are repeated.

    The shift of an example is a function of the key (seed and epoch), its group and its number: whatever else is in the
    batch, and on whichever process it lies.
    """

    training_only = True

    def __init__(self, options: ShiftOptions, facts: TransformFacts) -> None:
        del facts  # shapes are read from the batch
        self._bounds = options.rows, options.columns

    def __call__(self, batch: Batch, key: int) -> Batch:
        """Shifted copy of the batch."""
        return Batch([dataclasses.replace(group, inputs=self._shift(group, key)) for group in batch.groups])

    def _shift(self, group: Group, key: int) -> Tensor:
        draws = uniforms(group.items.cpu().numpy(), 2, "shift", key, group.name)
        inputs = group.inputs
        for axis, bound, draw in zip((-2, -1), self._bounds, draws.T, strict=True):
            offsets = torch.from_numpy(np.floor(draw * (2 * bound + 1)).astype(np.int64) - bound)
            inputs = _moved(inputs, offsets.to(inputs.device), axis)
        return inputs


def _moved(inputs: Tensor, offsets: Tensor, axis: int) -> Tensor:
    """Examples moved along an axis, each by its own offset: out[i] = in[i - offset], clamped to the border."""
    size = inputs.shape[axis]
    index = (torch.arange(size, device=inputs.device) - offsets[:, None]).clamp(0, size - 1)
    shape = [len(offsets)] + [1] * (inputs.ndim - 1)
    shape[axis] = size
    return inputs.gather(inputs.ndim + axis, index.view(shape).expand_as(inputs))
