"""The metric `mean_absolute_error`. N columns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from example_lab.numbers import numbers_of, tasks_of
from visioncore_engine.contracts import Group, GroupSpec, MetricFacts, Result
from visioncore_engine.options import Options

__all__ = ["MeanAbsoluteError"]


class MeanAbsoluteError:
    """Mean of ``|predicted - measured|`` over the valid values of each column; NaN for a column without one.

    Logged are the mean over the scored columns of all groups, and that of each group.

    Parameters
    ----------
    options
        Nothing.
    facts
        The groups; each has one target of numbers.
    """

    def __init__(self, options: Options, facts: MetricFacts) -> None:
        del options  # it has none
        self._tasks = tasks_of(facts.groups)

    def state(self, group: GroupSpec) -> dict[str, Tensor]:
        """Zeros, float64 (N,): the sum of errors and the number of valid values."""
        size = group.targets[self._tasks[group.name]].size
        return {name: torch.zeros(size, dtype=torch.float64) for name in ("error", "num")}

    def update(self, state: dict[str, Tensor], outputs: Mapping[str, Tensor], group: Group) -> None:
        """Add a batch."""
        predicted, measured, valid = numbers_of(outputs, group, self._tasks[group.name], torch.float64)
        state["error"] += (predicted - measured).abs().flatten(0, -2).sum(dim=0)
        state["num"] += valid.flatten(0, -2).sum(dim=0)

    def compute(self, states: Mapping[str, dict[str, Tensor]]) -> Result:
        """Errors per column, and their means."""
        columns = {name: _mean_error(state) for name, state in states.items()}
        scalars = {"mean_absolute_error": _mean(np.concatenate([*columns.values(), np.empty(0)]))}
        scalars |= {f"mean_absolute_error/{name}": _mean(values) for name, values in columns.items()}
        return Result(scalars=scalars, columns=columns)


def _mean_error(state: Mapping[str, Tensor]) -> np.ndarray:
    error, num = state["error"].cpu().numpy(), state["num"].cpu().numpy()
    return np.asarray(error / np.where(num > 0, num, np.nan))


def _mean(values: np.ndarray) -> float:
    scored = values[~np.isnan(values)]
    return float(scored.mean()) if scored.size else float("nan")
