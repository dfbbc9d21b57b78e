"""The preparation `z_score`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from example_lab.options import ZScoreOptions
from example_lab.sheet import Sheet
from visioncore_engine.contracts import PreparationFacts
from visioncore_engine.errors import DataError, Problem

__all__ = ["ZScore"]


class ZScore:
    """``(value - mean) / standard deviation`` of each column, over the training rows (``ddof = 0``).

    Cells without a number count for nothing, and stay without one.

    Parameters
    ----------
    options
        What the run file says.
    facts
        The group.
    """

    def __init__(self, options: ZScoreOptions, facts: PreparationFacts) -> None:
        del facts  # each sheet is fitted by itself
        self._of = options.of

    def fit(self, recording: Sheet, train: np.ndarray) -> dict[str, Any]:
        """Mean and standard deviation by column, from the rows where `train` (bool (R,)) is True.

        Raises
        ------
        DataError
            Where a column does not vary there.
        """
        state = {}
        for place in recording.places(self._of, "prepare.z_score.of"):
            column = recording.columns[place]
            values = recording.values[train, place]
            values = values[np.isfinite(values)]
            deviation = float(values.std()) if values.size else 0.0
            if deviation == 0:
                what = "the column does not vary over the training rows, so it cannot be scaled"
                raise DataError(Problem(where=recording.where, key=column, what=what, todo="leave it out of `of`"))
            state[column] = {"mean": float(values.mean()), "deviation": deviation}
        return state

    def apply(self, recording: Sheet, state: Mapping[str, Any]) -> Sheet:
        """Scale the columns of `state`; the others stay."""
        values = recording.values.copy()
        for column, moments in state.items():
            place = recording.columns.index(column)
            values[:, place] = (values[:, place] - moments["mean"]) / moments["deviation"]
        return recording.with_values(values)
