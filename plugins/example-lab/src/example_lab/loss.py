"""The loss `huber`. N columns."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from example_lab.numbers import numbers_of, tasks_of
from example_lab.options import HuberOptions
from visioncore_engine.contracts import Group, LossFacts

__all__ = ["Huber"]


class Huber:
    """Half the squared error up to `delta`, then straight: ``delta (|e| - delta / 2)`` (Huber 1964).

    Parameters
    ----------
    options
        What the run file says.
    facts
        The groups; each has one target of numbers.
    """

    def __init__(self, options: HuberOptions, facts: LossFacts) -> None:
        self._delta = options.delta
        self._tasks = tasks_of(facts.groups)

    def weights(self, group: Group) -> dict[str, Tensor]:
        """Count the valid values of each column, float64 (N,), by task."""
        task = self._tasks[group.name]
        valid = group.mask.expand_as(group.targets[task])
        return {task: valid.flatten(0, -2).sum(dim=0, dtype=torch.float64)}

    def __call__(self, outputs: Mapping[str, Tensor], group: Group) -> dict[str, Tensor]:
        """Sum of each column over the valid values, (N,), by task; at least float32."""
        task = self._tasks[group.name]
        dtype = torch.promote_types(outputs[task].dtype, torch.float32)
        predicted, measured, _ = numbers_of(outputs, group, task, dtype)  # both 0, and so no error, under the mask
        losses = torch.nn.functional.huber_loss(predicted, measured, reduction="none", delta=self._delta)
        return {task: losses.flatten(0, -2).sum(dim=0)}
