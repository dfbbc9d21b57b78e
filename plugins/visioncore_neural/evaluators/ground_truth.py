"""Evaluator `ground_truth`: what a model recovered of simulated units. N units of a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from visioncore_engine.contracts import Evaluation, EvaluatorFacts, Group, GroupSpec, MetricFacts, Result, Table
from visioncore_engine.errors import DataError, Problem
from visioncore_engine.options import Options
from visioncore_engine.report import drawing, figure_png
from visioncore_neural.analysis.centres import field_centres
from visioncore_neural.analysis.gradients import sensitivity_maps
from visioncore_neural.analysis.traces import FRAME
from visioncore_neural.evaluators.names import TRUTH_COLUMNS
from visioncore_neural.metrics.correlation import SingleTrialCorrelation
from visioncore_neural.options.evaluator import GroundTruthOptions
from visioncore_neural.report.truth_figures import truth_figure
from visioncore_neural.responses import response_task

__all__ = ["GroundTruth"]


class TruthOfSession(Protocol):
    """What a simulated session was made of; `rate` is (T, N), expected counts in each frame."""

    rate: np.ndarray


@runtime_checkable
class KnowsTruth(Protocol):
    """A dataset that was simulated."""

    def truth(self, name: str) -> TruthOfSession:
        """Truth of a session, by the group's name."""
        ...


class GroundTruth:
    """Compares a trained model with the simulation that made its data; writes the table ``ground_truth``.

    The centre of a unit's receptive field is found from the model alone, by `sensitivity_maps` and `field_centres`;
    `error` is its distance in pixels from the true one. `correlation` is that of predicted rate and spikes over the
    valid frames of the split, `true_correlation` that of the true rate and the same spikes, which no model can be
    expected to pass; `ratio` is the first over the second.

    Logged: the median error and the share of units within 2 pixels, where a unit whose centre cannot be found counts as
    infinitely far; the mean ratio, where a unit whose prediction does not vary counts as 0. A unit whose true rate has
    no positive correlation with its spikes has no ratio.
    """

    def __init__(self, options: GroundTruthOptions, facts: EvaluatorFacts) -> None:
        self._options = options
        self._groups = facts.groups
        self._correlation = SingleTrialCorrelation(Options(), MetricFacts(facts.groups))

    def evaluate(self, evaluation: Evaluation) -> Result:
        """Compare.

        Raises
        ------
        DataError
            Where the data do not know their truth.
        """
        predicted, true = self._correlations(evaluation, _truth_of(evaluation))
        history = int(getattr(evaluation.model, "history"))  # noqa: B009 - of the Model protocol, which nn.Module hides
        rows: list[dict[str, Any]] = []
        for source in evaluation.dataset.sources(evaluation.split, history):
            if source.num_items == 0:
                continue
            maps = sensitivity_maps(
                evaluation.model,
                source,
                num_predictions=self._options.num_predictions,
                smoothing=self._options.smoothing,
            )
            found = field_centres(maps, self._options.width)
            group = source.group
            rows += _rows(group, found, predicted[group.name], true[group.name])
        with drawing():
            figure = figure_png(truth_figure(rows))
        return Result(
            scalars=_scalars(rows),
            tables={"ground_truth": Table(columns=TRUTH_COLUMNS, rows=rows)},
            figures={"ground_truth": figure},
        )

    def _correlations(
        self, evaluation: Evaluation, truth: KnowsTruth
    ) -> tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]:
        """Correlation of predicted and of true rates with the responses, per group."""
        metric = self._correlation
        states = [{group.name: metric.state(group) for group in self._groups} for _ in range(2)]
        tasks = {group.name: response_task(group)[0] for group in self._groups}
        for batch, outputs in evaluation.batches():
            for group, output in zip(batch.groups, outputs, strict=True):
                metric.update(states[0][group.name], output, group)
                rates = _true_rates(truth.truth(group.name).rate, group)
                metric.update(states[1][group.name], {tasks[group.name]: rates}, group)
        predicted, true = (metric.compute(state).columns for state in states)
        return predicted, true


def _truth_of(evaluation: Evaluation) -> KnowsTruth:
    dataset = evaluation.dataset
    known = all("centre" in group.facts.get("truth", {}) for group in dataset.groups)
    if not isinstance(dataset, KnowsTruth) or not known:
        raise DataError(
            Problem(
                key="evaluate.ground_truth",
                what="these data do not know what they were made of",
                given=type(dataset).__name__,
                todo="leave the evaluator out, or choose the dataset synthetic_v1",
            )
        )
    return dataset


def _true_rates(rate: np.ndarray, group: Group) -> Tensor:
    """Look up the true rates at the predictions of a batch, (B, L, N); what the padding holds does not count."""
    frames = group.tags[FRAME].cpu().numpy()
    return torch.from_numpy(rate[np.maximum(frames, 0)]).to(group.inputs.device)


def _rows(group: GroupSpec, found: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> list[dict[str, Any]]:
    facts = group.facts["truth"]
    centres = np.asarray(facts["centre"], dtype=np.float64)
    errors = np.linalg.norm(found - centres, axis=1)
    ratios = np.divide(np.nan_to_num(predicted), true, out=np.full(len(true), np.nan), where=true > 0)
    return [
        {
            "session": group.name,
            "subject": group.labels.get("subjects", ""),
            "unit": unit,
            "kind": facts["kind"][index],
            "true_row": float(centres[index, 0]),
            "true_column": float(centres[index, 1]),
            "row": float(found[index, 0]),
            "column": float(found[index, 1]),
            "error": float(errors[index]),
            "correlation": float(predicted[index]),
            "true_correlation": float(true[index]),
            "ratio": float(ratios[index]),
        }
        for index, unit in enumerate(response_task(group)[1].ids)
    ]


def _scalars(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    errors = np.array([row["error"] for row in rows], dtype=np.float64)
    ratios = np.array([row["ratio"] for row in rows], dtype=np.float64)
    scored = ratios[~np.isnan(ratios)]
    median = float(np.median(np.where(np.isnan(errors), np.inf, errors))) if len(errors) else np.nan
    return {
        "rf_error_median": median if np.isfinite(median) else np.nan,
        "rf_error_within_2px": float((errors <= 2.0).mean()) if len(errors) else np.nan,
        "correlation_ratio": float(scored.mean()) if len(scored) else np.nan,
    }
