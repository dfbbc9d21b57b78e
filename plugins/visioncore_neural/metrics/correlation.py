"""Correlations of rates with responses. B windows, L predicted frames, N units, R frames of a repeated clip."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from visioncore_engine.contracts import Group, GroupSpec, MetricFacts, Result
from visioncore_engine.errors import ConfigError, Problem
from visioncore_engine.options import Options
from visioncore_neural.metrics.summary import overall, per_group
from visioncore_neural.responses import response_task, responses_of, tasks_of

__all__ = ["CONSTANT", "REPEAT_FRAME", "CorrelationToAverage", "SingleTrialCorrelation", "correlation"]

CONSTANT = 1e-10
"""Share of the mean square below which a variance is called zero: what is left of a constant prediction after rounding
in float32 (1e-14) is no variation, and what varies by 1e-5 of its mean is."""

REPEAT_FRAME = "repeat_frame"
"""Tag that says which frame of a repeated clip a prediction is for."""


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


class CorrelationToAverage:
    """Pearson correlation, per unit, between prediction and response averaged over the repeats of each frame of a clip.

    Over the frames with at least two valid repeats; the prediction is averaged over the same repeats, in which side
    inputs may differ. The statistics are float64 sums per frame of the clip and unit.

    Raises
    ------
    ConfigError
        Where no group has repeats.
    """

    def __init__(self, options: Options, facts: MetricFacts) -> None:
        del options  # it has none
        self._groups = facts.groups
        self._tasks = tasks_of(facts.groups)
        if not any(group.tags.get(REPEAT_FRAME) for group in facts.groups):
            raise ConfigError(
                Problem(
                    what="no recording repeats a clip, so that there is no average to correlate with",
                    todo="leave the metric out, or choose data with repeats",
                )
            )

    def state(self, group: GroupSpec) -> dict[str, Tensor]:
        """Zeros: number of repeats, sum of rates, sum of responses, (R, N) each; R = 0 for a group without repeats."""
        shape = (group.tags.get(REPEAT_FRAME, 0), response_task(group)[1].size)
        return {name: torch.zeros(shape, dtype=torch.float64) for name in ("n", "x", "y")}

    def update(self, state: dict[str, Tensor], outputs: Mapping[str, Tensor], group: Group) -> None:
        """Add a batch."""
        if REPEAT_FRAME not in group.tags or not len(state["n"]):
            return
        rates, responses, valid = responses_of(outputs, group, self._tasks[group.name])
        frame = group.tags[REPEAT_FRAME].flatten()
        rows, frame = frame >= 0, frame[frame >= 0]
        valid = valid.flatten(0, 1)[rows]
        zero = torch.zeros((), dtype=torch.float64, device=rates.device)
        for name, values in (("n", valid), ("x", rates.flatten(0, 1)[rows]), ("y", responses.flatten(0, 1)[rows])):
            state[name].index_add_(0, frame, torch.where(valid, values.double(), zero))

    def compute(self, states: Mapping[str, dict[str, Tensor]]) -> Result:
        """Correlations per unit, and their summaries."""
        name = "correlation_to_average"
        columns = {group: self._scores(state) for group, state in states.items()}
        return Result(scalars=overall(name, columns) | per_group(name, columns, self._groups), columns=columns)

    @staticmethod
    def _scores(state: Mapping[str, Tensor]) -> np.ndarray:
        n, x, y = (state[name].cpu().numpy() for name in ("n", "x", "y"))
        repeated = n >= 2
        count = np.where(repeated, n, 1.0)
        x, y = np.where(repeated, x / count, 0.0), np.where(repeated, y / count, 0.0)
        sums = {"n": repeated, "x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}
        return correlation({key: value.sum(axis=0, dtype=np.float64) for key, value in sums.items()})
