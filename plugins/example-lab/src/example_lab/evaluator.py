"""The evaluator `residuals`. N columns."""

from __future__ import annotations

import numpy as np
import torch

from example_lab.numbers import numbers_of, tasks_of
from example_lab.options import ResidualsOptions
from visioncore_engine.contracts import Evaluation, EvaluatorFacts, Result, Table

__all__ = ["Residuals"]

_COLUMNS = ("group", "column", "num_valid", "bias", "deviation")


class Residuals:
    """Writes a row per column: how far predictions lie beside the measured values, and how widely they scatter.

    `bias` is the mean of ``predicted - measured`` over the `num_valid` valid values, `deviation` its standard deviation
    (``ddof = 0``); both are NaN where nothing is valid.

    Parameters
    ----------
    options
        What the run file says.
    facts
        The groups; each has one target of numbers.
    """

    def __init__(self, options: ResidualsOptions, facts: EvaluatorFacts) -> None:
        self._table = options.table
        self._groups = facts.groups
        self._tasks = tasks_of(facts.groups)

    def evaluate(self, evaluation: Evaluation) -> Result:
        """Go through every window of the split once."""
        sizes = {group.name: group.targets[self._tasks[group.name]].size for group in self._groups}
        moments = {name: np.zeros((3, size)) for name, size in sizes.items()}  # number, mean, sum of squares
        for batch, outputs in evaluation.batches():
            for group, output in zip(batch.groups, outputs, strict=True):
                predicted, measured, valid = numbers_of(output, group, self._tasks[group.name], torch.float64)
                errors = (predicted - measured).flatten(0, -2).cpu().numpy()
                _add(moments[group.name], errors, valid.flatten(0, -2).cpu().numpy())
        rows = [
            {"group": group.name, "column": column, "num_valid": int(num), "bias": bias, "deviation": deviation}
            for group in self._groups
            for column, num, bias, deviation in zip(
                group.targets[self._tasks[group.name]].ids, *_summary(moments[group.name]), strict=True
            )
        ]
        return Result(tables={self._table: Table(_COLUMNS, rows)})


def _add(moments: np.ndarray, errors: np.ndarray, valid: np.ndarray) -> None:
    """Merge a batch, whose errors are 0 under the mask, into the moments in place (Chan, Golub & LeVeque 1983)."""
    num = valid.sum(axis=0)
    mean = errors.sum(axis=0) / np.maximum(num, 1)
    squares = (np.where(valid, errors - mean, 0.0) ** 2).sum(axis=0)
    total = moments[0] + num
    shift = mean - moments[1]
    moments[2] += squares + shift**2 * moments[0] * num / np.maximum(total, 1)
    moments[1] += shift * num / np.maximum(total, 1)
    moments[0] = total


def _summary(moments: np.ndarray) -> tuple[list[float], list[float], list[float]]:
    num, mean, squares = moments
    scored = num > 0
    bias = np.where(scored, mean, np.nan)
    deviation = np.where(scored, np.sqrt(squares / np.maximum(num, 1)), np.nan)
    return num.tolist(), bias.tolist(), deviation.tolist()
