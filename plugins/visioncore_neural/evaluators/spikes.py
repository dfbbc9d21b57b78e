"""Evaluator `spike_triggered_average`: stimuli before spikes and before predicted rates."""

from __future__ import annotations

from typing import Any

import numpy as np

from visioncore_engine.contracts import Evaluation, EvaluatorFacts, GroupSpec, Result, Table
from visioncore_engine.report import drawing, figure_png
from visioncore_neural.analysis.traces import predicted_trace
from visioncore_neural.analysis.triggered import spike_triggered
from visioncore_neural.analysis.whitening import decorrelated
from visioncore_neural.evaluators.triggered import agreement, recording_of
from visioncore_neural.options.evaluator import SpikeTriggeredAverageOptions
from visioncore_neural.report.triggered_maps import Maps, triggered_maps
from visioncore_neural.responses import response_task

__all__ = ["SpikeTriggeredAverage"]

_COLUMNS = (
    "session",
    "unit",
    "lag_ms",
    *(f"{word}_{what}" for word in ("data", "model") for what in ("z", "row", "column")),
    "correlation",
)


class SpikeTriggeredAverage:
    """Average stimulus before spikes and before predicted rates; writes a table and a picture.

    Both are called ``spike_triggered_average``, or ``spike_triggered_energy`` with ``of: energy``, and that with
    ``_whitened`` behind it with `whiten`; several of them fit into one run, under ids of their own.

    A row per unit and lag, oldest lag first, `lag_ms` being how long before the response the frame was shown: the
    largest absolute z of the data's map and of the model's at that lag, with where it is, and the correlation of both
    maps over pixels. z is the average over its standard deviation if responses were shuffled over frames. The picture
    shows the z of both for some units of each session, at the lag where the data's is largest.

    Logged: the median over units of the correlation between the two averages over all lags and pixels, as
    ``<table>_correlation``.
    """

    def __init__(self, options: SpikeTriggeredAverageOptions, facts: EvaluatorFacts) -> None:
        self._num_lags, self._ridge, self._groups = options.num_lags, options.whiten, facts.groups
        self._of_energy = options.of == "energy"
        what = "energy" if self._of_energy else "average"
        self._name = f"spike_triggered_{what}{'' if self._ridge is None else '_whitened'}"

    def evaluate(self, evaluation: Evaluation) -> Result:
        """Average.

        Raises
        ------
        DataError
            Where the data are no recordings.
        """
        rows: list[dict[str, Any]] = []
        agreements: list[float] = []
        pictures: dict[str, Maps] = {}
        for group in sorted(self._groups, key=lambda group: group.name):
            recording = recording_of(evaluation, group, "spike_triggered_average")
            if recording is None:
                continue
            trace = predicted_trace(evaluation, group)
            stim = self._averaged(recording.values("stim", slice(None)).reshape(recording.num_frames, -1), trace.frames)
            trial = np.asarray(recording.trial)
            pair = [
                spike_triggered(
                    stim,
                    trial,
                    trace.frames,
                    np.nan_to_num(values),
                    trace.valid,
                    num_lags=self._num_lags,
                    ridge=self._ridge,
                )
                for values in (trace.responses, trace.rates)
            ]
            agreements += [agreement(*(average[unit] for average, _ in pair)) for unit in range(recording.num_units)]
            scores = [z for _, z in pair]
            rows += _lag_rows(group, [average for average, _ in pair], scores)
            pictures[group.name] = Maps(scores[0], scores[1], response_task(group)[1].ids, group.input_shape, group.dt)
        known = np.array([value for value in agreements if not np.isnan(value)])
        with drawing():
            figure = triggered_maps(pictures)
            drawn = {} if figure is None else {self._name: figure_png(figure)}
        return Result(
            scalars={f"{self._name}_correlation": float(np.median(known)) if len(known) else np.nan},
            tables={self._name: Table(columns=_COLUMNS, rows=rows)},
            figures=drawn,
        )

    def _averaged(self, stim: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """Frames, or their energies, (T, P)."""
        if not self._of_energy:
            return stim
        if self._ridge is None:
            return np.asarray((stim - stim[frames].mean(0, dtype=np.float64)) ** 2)
        return decorrelated(stim, frames, self._ridge) ** 2


def _lag_rows(group: GroupSpec, averages: list[np.ndarray], scores: list[np.ndarray]) -> list[dict[str, Any]]:
    height, width = group.input_shape[1:]
    num_lags = averages[0].shape[1]
    rows = []
    for index, unit in enumerate(response_task(group)[1].ids):
        for lag in range(num_lags):
            row: dict[str, Any] = {
                "session": group.name,
                "unit": unit,
                "lag_ms": float((num_lags - 1 - lag) * (group.dt or np.nan) * 1000),
            }
            for word, z in zip(("data", "model"), scores, strict=True):
                own = z[index, lag]
                known = not np.isnan(own).all()
                place = int(np.nanargmax(np.abs(own))) if known else 0
                row[f"{word}_z"] = float(own[place]) if known else float("nan")
                row[f"{word}_row"] = place // width % height if known else float("nan")
                row[f"{word}_column"] = place % width if known else float("nan")
            rows.append({**row, "correlation": agreement(averages[0][index, lag], averages[1][index, lag])})
    return rows
