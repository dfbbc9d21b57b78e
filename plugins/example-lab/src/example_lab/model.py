"""The model `linear`. B rows, K inputs, N columns."""

from __future__ import annotations

from urllib.parse import quote

import torch
from torch import Tensor, nn

from example_lab.numbers import tasks_of
from example_lab.options import LinearOptions
from visioncore_engine.contracts import Batch, ModelFacts

__all__ = ["Linear"]


class Linear(nn.Module):
    """Each group's columns as weighted sums of its inputs: the baseline that a deeper model has to beat.

    Parameters
    ----------
    options
        What the run file says.
    facts
        The groups; each has one target of numbers.

    Attributes
    ----------
    heads
        A linear layer (N, K) per group; weights start at 0, so that it starts at the means of the training values.
    """

    history = 0

    def __init__(self, options: LinearOptions, facts: ModelFacts) -> None:
        super().__init__()
        self._tasks = tasks_of(facts.groups)
        self.heads = nn.ModuleDict()
        for group in facts.groups:
            target = group.targets[self._tasks[group.name]]
            head = nn.Linear(torch.Size(group.input_shape).numel(), target.size, bias=options.bias)
            nn.init.zeros_(head.weight)
            if options.bias:
                with torch.no_grad():
                    head.bias.copy_(torch.tensor(target.mean or [0.0] * target.size))
            self.heads[_module_name(group.name)] = head

    def forward(self, batch: Batch) -> list[dict[str, Tensor]]:
        """Predict: (B, N) per group, in the batch's order."""
        return [
            {self._tasks[group.name]: self.heads[_module_name(group.name)](group.inputs.flatten(1))}
            for group in batch.groups
        ]


def _module_name(name: str) -> str:
    """Name of a group without the point, which torch forbids, and unlike any attribute of a module."""
    return "of_" + quote(name, safe="").replace(".", "%2E")
