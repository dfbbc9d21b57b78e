"""Scores against repeats of a clip. B windows, L predicted frames, N units, R frames of a repeated clip.

With y_ij the response to frame i in its repeat j, t_i repeats of it, and x_ij the prediction, all scores are computed
from sums over j for every i and unit, float64 (R, N): they add up over batches and processes in any order, and their
size does not grow with the number of samples. Only valid values count; a frame counts for a unit where it has at least
two valid repeats. What cannot be scored is NaN and counted (``<name>_scored``), never 0 and never clamped; each class
says when.

Sums of products lose a relative 1e-16 times their number of terms, and the variances below lose that times mean square
over variance; sums of counts are exact.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from visioncore_engine.contracts import Group, GroupSpec, MetricFacts, Result
from visioncore_engine.errors import ConfigError, Problem
from visioncore_neural.metrics.summary import overall, per_group
from visioncore_neural.responses import response_task, responses_of, tasks_of

__all__ = ["CONSTANT", "REPEAT_FRAME", "RepeatMetric", "averages", "squeezed"]

CONSTANT = 1e-10
"""Share of the mean square below which a variance is called zero: what is left of a constant prediction after rounding
in float32 (1e-14) is no variation, and what varies by 1e-5 of its mean is."""

REPEAT_FRAME = "repeat_frame"
"""Tag that says which frame of a repeated clip a prediction is for."""


class RepeatMetric(ABC):
    """A score per unit, computed from sums over the repeats of each frame.

    Attributes
    ----------
    name
        The metric's name in the run file and in logs.
    sums
        What is summed: ``n`` repeats, ``x`` predictions, ``y`` responses, ``yy`` squared responses, ``error`` squared
        differences.

    Raises
    ------
    ConfigError
        Where no group has repeats.
    """

    name: ClassVar[str]
    sums: ClassVar[tuple[str, ...]]

    def __init__(self, facts: MetricFacts) -> None:
        self._groups = facts.groups
        self._tasks = tasks_of(facts.groups)
        if not any(group.tags.get(REPEAT_FRAME) for group in facts.groups):
            raise ConfigError(
                Problem(
                    what=f"no recording repeats a clip, which {self.name!r} needs",
                    todo="leave the metric out, or choose data with repeats",
                )
            )

    def state(self, group: GroupSpec) -> dict[str, Tensor]:
        """Zeros, float64 (R, N) for each sum; R = 0 for a group without repeats."""
        shape = (group.tags.get(REPEAT_FRAME, 0), response_task(group)[1].size)
        return {name: torch.zeros(shape, dtype=torch.float64) for name in self.sums}

    def update(self, state: dict[str, Tensor], outputs: Mapping[str, Tensor], group: Group) -> None:
        """Add a batch."""
        if REPEAT_FRAME not in group.tags or not len(state["n"]):
            return
        rates, responses, valid = responses_of(outputs, group, self._tasks[group.name])
        frame = group.tags[REPEAT_FRAME].flatten()
        rows, frame = frame >= 0, frame[frame >= 0]
        valid = valid.flatten(0, 1)[rows]
        zero = torch.zeros((), dtype=torch.float64, device=rates.device)
        x, y = (torch.where(valid, values.flatten(0, 1)[rows].double(), zero) for values in (rates, responses))
        terms = {"n": valid.double(), "x": x, "y": y, "yy": y * y, "error": (x - y).square()}
        for name in self.sums:
            state[name].index_add_(0, frame, terms[name])

    def compute(self, states: Mapping[str, dict[str, Tensor]]) -> Result:
        """Scores per unit, and their summaries."""
        sums = {
            group: squeezed({key: value.cpu().numpy() for key, value in state.items()})
            for group, state in states.items()
        }
        columns = {group: self.scores(own) for group, own in sums.items()}
        scalars = overall(self.name, columns) | per_group(self.name, columns, self._groups)
        return Result(scalars=scalars | self.more(sums), columns=columns)

    @abstractmethod
    def scores(self, sums: Mapping[str, np.ndarray]) -> np.ndarray:
        """Score of each unit, float64 (N,), from the sums of the frames that count (`squeezed`)."""

    def more(self, sums: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, float]:
        """Further scalars, from the sums of every group."""
        del sums  # most metrics have none
        return {}


def squeezed(sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Sums (R, N) with zeros where a frame has fewer than two valid repeats of a unit, so that it adds nothing."""
    counts = sums["n"] >= 2
    return {name: np.where(counts, values, 0.0) for name, values in sums.items()}


def averages(sums: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """Average over the repeats of each frame, float64 (R, N); zero where a frame does not count."""
    return np.asarray(sums[name] / np.maximum(sums["n"], 1.0))
