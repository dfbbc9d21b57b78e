"""Evaluator `saccade_triggered`, and what all evaluators of averages around events share: data beside model."""

from __future__ import annotations

from typing import Any

import numpy as np

from visioncore_engine.contracts import Evaluation, EvaluatorFacts, GroupSpec, Result, Table
from visioncore_engine.errors import DataError, Problem
from visioncore_neural.analysis.traces import predicted_trace
from visioncore_neural.analysis.triggered import detect_saccades, event_averages, separated
from visioncore_neural.metrics.correlation import correlation
from visioncore_neural.options.evaluator import SaccadeTriggeredOptions
from visioncore_neural.recording import Recording
from visioncore_neural.responses import response_task

__all__ = ["SaccadeTriggered", "agreement", "recording_of"]


class SaccadeTriggered:
    """Rates around saccades, measured and predicted; writes the table ``saccade_triggered``.

    Saccades are where the eye position begins to move faster than `speed`, or the onsets that are given in the
    behavior channel `channel`. Those count that follow the one before after an interval within bounds. A row per unit
    and lag in ms after the onset: mean rates in Hz, and how many saccades went into them.

    Logged: the median over units of the correlation of both courses over lags, and the number of saccades.
    """

    def __init__(self, options: SaccadeTriggeredOptions, facts: EvaluatorFacts) -> None:
        self._options, self._groups = options, facts.groups

    def evaluate(self, evaluation: Evaluation) -> Result:
        """Average.

        Raises
        ------
        DataError
            Where the data are no recordings, or have neither eye positions nor the channel.
        """
        rows: list[dict[str, Any]] = []
        agreements, num_saccades = [], 0
        for group in sorted(self._groups, key=lambda group: group.name):
            recording = recording_of(evaluation, group, "saccade_triggered")
            if recording is None:
                continue
            trace = predicted_trace(evaluation, group)
            events = self._events(recording)
            events = events[np.isin(events, trace.frames)]
            num_saccades += len(events)
            before, after = (
                round(ms / 1000 / recording.dt) for ms in (self._options.before_ms, self._options.after_ms)
            )
            lags = np.arange(-before, after + 1)
            trial = np.asarray(recording.trial)
            (data, num), (model, _) = (
                event_averages(np.nan_to_num(values), trace.frames, trace.valid, trial, events, lags=lags)
                for values in (trace.responses, trace.rates)
            )
            for index, unit in enumerate(response_task(group)[1].ids):
                agreements.append(agreement(data[:, index], model[:, index]))
                rows += [
                    {
                        "session": group.name,
                        "unit": unit,
                        "lag_ms": float(lag * recording.dt * 1000),
                        "data_hz": float(data[place, index] / recording.dt),
                        "model_hz": float(model[place, index] / recording.dt),
                        "saccades": int(num[place, index]),
                    }
                    for place, lag in enumerate(lags)
                ]
        known = np.array([value for value in agreements if not np.isnan(value)])
        return Result(
            scalars={
                "saccade_triggered_correlation": float(np.median(known)) if len(known) else np.nan,
                "saccades": float(num_saccades),
            },
            tables={
                "saccade_triggered": Table(
                    columns=("session", "unit", "lag_ms", "data_hz", "model_hz", "saccades"), rows=rows
                )
            },
        )

    def _events(self, recording: Recording) -> np.ndarray:
        options = self._options
        shortest, longest = options.shortest_ms / 1000, options.longest_ms / 1000
        trial = np.asarray(recording.trial)
        if options.channel:
            if options.channel not in recording.behavior_names:
                raise DataError(
                    Problem(
                        where=recording.where,
                        key="evaluate.saccade_triggered.channel",
                        what=f"behavior has the channels {', '.join(recording.behavior_names) or 'none'}",
                        given=repr(options.channel),
                    )
                )
            onset = recording.values("behavior", slice(None))[:, recording.behavior_names.index(options.channel)] > 0
            return separated(np.flatnonzero(onset), trial, recording.dt, shortest=shortest, longest=longest)
        if recording.eyepos is None:
            raise DataError(
                Problem(
                    where=recording.where,
                    key="evaluate.saccade_triggered",
                    what="saccades are found in eye positions, and this recording has none",
                    todo="name the behavior channel that holds their onsets: channel",
                )
            )
        eyepos = recording.values("eyepos", slice(None))
        return detect_saccades(eyepos, trial, recording.dt, speed=options.speed, shortest=shortest, longest=longest)


def recording_of(evaluation: Evaluation, group: GroupSpec, name: str) -> Recording | None:
    """Recording of a session; None where it has no window in the split."""
    history = int(getattr(evaluation.model, "history"))  # noqa: B009 - of the Model protocol, which nn.Module hides
    for source in evaluation.dataset.sources(evaluation.split, history):
        if source.group.name == group.name:
            found = getattr(source, "recording", None)
            if not isinstance(found, Recording):
                what = "only recordings have stimuli and trials in time"
                raise DataError(Problem(where=group.name, key=f"evaluate.{name}", what=what))
            return found if source.num_items else None
    return None


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson correlation over what both have; NaN where one of them does not vary."""
    known = ~(np.isnan(one) | np.isnan(other))
    pairs = {"x": one[known], "y": other[known]}
    products = {"xx": pairs["x"] ** 2, "yy": pairs["y"] ** 2, "xy": pairs["x"] * pairs["y"]}
    sums = {name: np.asarray(values.sum()) for name, values in (pairs | products).items()}
    with np.errstate(invalid="ignore"):
        return float(correlation({"n": np.asarray(known.sum()), **sums}))
