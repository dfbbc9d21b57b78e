"""Scores over a whole split: every metric, and the loss, from statistics that add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from visioncore_engine.contracts import Batch, GroupSpec, Metric, Result
from visioncore_engine.objective import AUXILIARY, Objective
from visioncore_engine.reduction import reduce_states, sum_over_processes, union_over_processes

__all__ = ["Scoring"]


class Scoring:
    """Collects the statistics of a split.

    Parameters
    ----------
    groups
        Groups of the data.
    metrics
        Metrics by id.
    objective
        The loss whose mean over the split is reported; None where there is none.
    """

    def __init__(self, groups: Sequence[GroupSpec], metrics: Mapping[str, Metric], objective: Objective | None) -> None:
        self._groups, self._metrics = groups, metrics
        self._objective = None if objective is None else objective.scored()
        self.reset()

    def reset(self) -> None:
        """Start from empty statistics."""
        self._states: dict[str, dict[str, dict[str, Tensor]]] = {
            name: {group.name: metric.state(group) for group in self._groups} for name, metric in self._metrics.items()
        }
        self._sums: dict[str, float] = {}
        self._weights: dict[str, float] = {}

    def update(self, outputs: Sequence[Mapping[str, Tensor]], batch: Batch) -> None:
        """Add a batch: outputs as `objective.predict` gives them."""
        for output, group in zip(outputs, batch.groups, strict=True):
            for name, metric in self._metrics.items():
                metric.update(self._states[name][group.name], output, group)
        if self._objective is None:
            return
        for term, weight in self._objective.weights([batch]).items():
            self._weights[term] = self._weights.get(term, 0.0) + weight
        for (_, term), value in self._objective.sums(outputs, batch).items():
            self._sums[term] = self._sums.get(term, 0.0) + float(value)

    def _sum_over_processes(self) -> None:
        reduce_states(
            [value for metric in self._states.values() for state in metric.values() for value in state.values()]
        )
        # A process with an empty share knows no term: all of them take the union, in one order.
        terms = union_over_processes(self._weights)
        for totals in (self._sums, self._weights):
            vector = torch.tensor([totals.get(term, 0.0) for term in terms], dtype=torch.float64)
            totals.update(zip(terms, sum_over_processes(vector).tolist(), strict=True))

    def auxiliary(self) -> dict[str, float]:
        """Contribution of each of the model's own losses to the loss of the split, after `compute`."""
        return {
            term: self._sums[term] / weight
            for term, weight in self._weights.items()
            if term.startswith(AUXILIARY) and weight > 0
        }

    def compute(self) -> tuple[dict[str, Result], float]:
        """Results by metric id, and the loss over the split (NaN where nothing counts)."""
        self._sum_over_processes()
        results = {name: metric.compute(self._states[name]) for name, metric in self._metrics.items()}
        parts = [self._sums[term] / weight for term, weight in self._weights.items() if weight > 0]
        return results, sum(parts) if parts else float("nan")
