"""Correlations of rates with responses. B windows, L predicted frames, N units, R frames of a repeated clip."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from visioncore_engine.contracts import Group, GroupSpec, MetricFacts, Result
from visioncore_engine.options import Options
from visioncore_neural.metrics.repeats import CONSTANT, RepeatMetric, averages
from visioncore_neural.metrics.summary import overall, per_group
from visioncore_neural.responses import response_task, responses_of, tasks_of

__all__ = ["CorrelationToAverage", "SingleTrialCorrelation", "average_correlation", "correlation"]


def correlation(sums: Mapping[str, np.ndarray]) -> np.ndarray:
    """Pearson correlation from sums over n pairs: ``n``, ``x``, ``y``, ``xx``, ``yy``, ``xy``; any shape, float64.

    NaN where x or y does not vary, or n < 2. Sums of n float64 products lose a relative
    1e-16 n at most; the differences below lose that times mean square over variance, typically below 100.
    """
    n = np.where(sums["n"] >= 2, sums["n"], np.nan)
    square_x, square_y = sums["xx"] / n, sums["yy"] / n
    variance_x = square_x - (sums["x"] / n) ** 2
    variance_y = square_y - (sums["y"] / n) ** 2
    covariance = sums["xy"] / n - sums["x"] * sums["y"] / n**2
    varies = (variance_x > CONSTANT * square_x) & (variance_y > CONSTANT * square_y)
    product = np.sqrt(np.where(varies, variance_x, np.nan)) * np.sqrt(np.where(varies, variance_y, np.nan))
    return np.asarray(covariance / product)


class SingleTrialCorrelation:
    """Pearson correlation of predicted rate and response over all valid frames, per unit, pooled (not per clip).

    The statistics are six float64 sums per unit. NaN, and not scored, where a unit or its prediction does not vary.
    """

    def __init__(self, options: Options, facts: MetricFacts) -> None:
        del options  # it has none
        self._groups = facts.groups
        self._tasks = tasks_of(facts.groups)

    def state(self, group: GroupSpec) -> dict[str, Tensor]:
        """Zeros, (N,) each."""
        size = response_task(group)[1].size
        return {name: torch.zeros(size, dtype=torch.float64) for name in ("n", "x", "y", "xx", "yy", "xy")}

    def update(self, state: dict[str, Tensor], outputs: Mapping[str, Tensor], group: Group) -> None:
        """Add a batch."""
        rates, responses, valid = responses_of(outputs, group, self._tasks[group.name])
        zero = torch.zeros((), dtype=torch.float64, device=rates.device)
        x, y = torch.where(valid, rates.double(), zero), torch.where(valid, responses.double(), zero)
        for name, values in (("n", valid), ("x", x), ("y", y), ("xx", x * x), ("yy", y * y), ("xy", x * y)):
            state[name] += values.sum(dim=(0, 1))

    def compute(self, states: Mapping[str, dict[str, Tensor]]) -> Result:
        """Correlations per unit, and their summaries."""
        name = "single_trial_correlation"
        columns = {
            group: correlation({key: value.cpu().numpy() for key, value in state.items()})
            for group, state in states.items()
        }
        return Result(scalars=overall(name, columns) | per_group(name, columns, self._groups), columns=columns)


class CorrelationToAverage(RepeatMetric):
    """Pearson correlation, per unit, between prediction and response averaged over the repeats of each frame of a clip.

    Over the frames with at least two valid repeats; the prediction is averaged over the same repeats, in which side
    inputs may differ. NaN where either does not vary.
    """

    name = "correlation_to_average"
    sums = ("n", "x", "y")

    def __init__(self, options: Options, facts: MetricFacts) -> None:
        del options  # it has none
        super().__init__(facts)

    def scores(self, sums: Mapping[str, np.ndarray]) -> np.ndarray:
        """Correlation of each unit."""
        return average_correlation(sums)


def average_correlation(sums: Mapping[str, np.ndarray]) -> np.ndarray:
    """Correlation over frames of the average prediction with the average response, float64 (N,).

    `sums` are those of the frames that count (`repeats.squeezed`): ``n``, ``x``, ``y``, (R, N) each.
    """
    x, y = averages(sums, "x"), averages(sums, "y")
    pairs = {"n": sums["n"] >= 2, "x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}
    return correlation({key: value.sum(axis=0, dtype=np.float64) for key, value in pairs.items()})
