"""Evaluator `units`: a row per unit. N units of a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visioncore_engine.contracts import Evaluation, EvaluatorFacts, GroupSpec, Metric, MetricFacts, Result, Table
from visioncore_engine.options import Options
from visioncore_engine.report import drawing, figure_png
from visioncore_neural.analysis.resampling import bits_of, block_interval, block_sums, correlation_of
from visioncore_neural.analysis.rescaling import cross_rescaled, folds_of
from visioncore_neural.evaluators.names import INTERVALS, RESCALED, SCORES, UNIT_COLUMNS
from visioncore_neural.evaluators.quality import UnitQuality
from visioncore_neural.metrics.bits_per_spike import BitsPerSpike
from visioncore_neural.metrics.correlation import CorrelationToAverage, SingleTrialCorrelation
from visioncore_neural.metrics.explained import FEVE, Oracle
from visioncore_neural.metrics.power import CCNorm
from visioncore_neural.metrics.repeats import REPEAT_FRAME
from visioncore_neural.options.evaluator import UnitsOptions
from visioncore_neural.options.metric import BitsPerSpikeOptions, CCNormOptions, FEVEOptions
from visioncore_neural.report.quality_figures import quality_figure, waveform_figure
from visioncore_neural.responses import response_task, responses_of

__all__ = ["Units"]


class Units:
    """Writes the table ``units``: a row per unit with its scores, sorted by session and then by the unit's position.

    A score comes from the run's metric of that name, and is computed here where the run has none. `spikes` is the sum
    of the responses over the `num_valid` valid frames of the split, `mean_rate_hz` their quotient per second.

    Rescaled bits per spike are those of rates whose gain and offset, per unit, were fitted on other blocks of the split
    (`analysis.rescaling`): no response takes part in what it is scored with. Intervals are the middle 95 % of a
    bootstrap over blocks of time (`analysis.resampling`).

    With `quality`, what the user knows of each unit (`quality.UnitQuality`) stands behind, and the pictures ``quality``
    and ``waveforms`` show it beside the scores.

    Raises
    ------
    DataError
        Where a file of `quality` cannot be used, or lacks a unit.
    """

    def __init__(self, options: UnitsOptions, facts: EvaluatorFacts) -> None:
        self._options = options
        self._groups = facts.groups
        self._quality = None if options.quality is None else UnitQuality(options.quality, facts.groups)
        self.fingerprint = "" if self._quality is None else self._quality.fingerprint

    def evaluate(self, evaluation: Evaluation) -> Result:
        """Make the table, and count how many units each score could be given to."""
        scores = {name: columns for name in SCORES if (columns := _columns_of(evaluation.scores, name)) is not None}
        lacking = _metrics([name for name in SCORES if name not in scores], self._groups)
        traces: dict[str, list[tuple[np.ndarray, ...]]] = {}
        totals = self._run(evaluation, lacking, traces)
        scores |= {name: metric.compute(states).columns for name, (metric, states) in lacking.items()}
        known = {} if self._quality is None else self._quality.columns
        more = {
            group.name: self._more(group, traces.get(group.name, [])) | known.get(group.name, {})
            for group in self._groups
        }
        rows = [
            {**row, **{name: float(values[index]) for name, values in more[group.name].items()}}
            for group in sorted(self._groups, key=lambda group: group.name)
            for index, row in enumerate(_rows(group, scores, totals))
        ]
        wanted = (*UNIT_COLUMNS, *next(iter(more.values()), {}))
        scalars = {f"units_scored/{name}": float(sum(not np.isnan(row[name]) for row in rows)) for name in SCORES}
        return Result(
            scalars={"units": float(len(rows)), **scalars},
            tables={"units": Table(columns=wanted, rows=rows)},
            figures=self._figures(rows),
        )

    def _figures(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
        if self._quality is None:
            return {}
        with drawing():
            drawn = {"quality": quality_figure(rows), "waveforms": waveform_figure(rows, self._quality.waveforms)}
            return {name: figure_png(figure) for name, figure in drawn.items() if figure is not None}

    def _more(self, group: GroupSpec, parts: Sequence[tuple[np.ndarray, ...]]) -> dict[str, np.ndarray]:
        """Columns that are asked for beside the scores, float64 (N,) each, from rates, responses and valid values."""
        names = [f"{name}_{end}" for name in INTERVALS for end in ("low", "high")] if self._options.num_draws else []
        names += [RESCALED] if self._options.rescale else []
        size = response_task(group)[1].size
        if not names or not parts:
            return {name: np.full(size, np.nan) for name in names}
        rates, responses, valid = (np.concatenate(part) for part in zip(*parts, strict=True))
        block = max(1, round(self._options.block / (group.dt or 1.0)))
        found: dict[str, np.ndarray] = {}
        if self._options.num_draws:
            sums = block_sums(rates, responses, valid, block)
            for name, score in zip(INTERVALS, (bits_of, correlation_of), strict=True):
                ends = block_interval(sums, score, num_draws=self._options.num_draws, key=(group.name, name))
                found |= dict(zip((f"{name}_low", f"{name}_high"), ends, strict=True))
        if self._options.rescale:
            folds = folds_of(len(rates), self._options.num_folds, block)
            rescaled = cross_rescaled(rates, responses, valid, folds)
            sums = block_sums(rescaled, responses, valid, len(rates))
            found[RESCALED] = bits_of({name: values[0] for name, values in sums.items()})
        return found

    def _run(
        self,
        evaluation: Evaluation,
        lacking: Mapping[str, tuple[Metric, dict[str, dict[str, Tensor]]]],
        traces: dict[str, list[tuple[np.ndarray, ...]]],
    ) -> dict[str, dict[str, np.ndarray]]:
        """Count valid frames and spikes of each group, feed the metrics that are lacking, and keep what is needed."""
        totals = {
            group.name: {name: np.zeros(response_task(group)[1].size) for name in ("spikes", "num_valid")}
            for group in self._groups
        }
        tasks = {group.name: response_task(group)[0] for group in self._groups}
        for batch, outputs in evaluation.batches():
            for group, output in zip(batch.groups, outputs, strict=True):
                rates, responses, valid = responses_of(output, group, tasks[group.name])
                if self._options.rescale or self._options.num_draws:
                    kept = (rates.double(), responses.double(), valid)
                    traces.setdefault(group.name, []).append(tuple(one.flatten(0, 1).cpu().numpy() for one in kept))
                counted = torch.where(
                    valid, responses.double(), torch.zeros((), dtype=torch.float64, device=valid.device)
                )
                own = totals[group.name]
                own["spikes"] += counted.sum(dim=(0, 1)).cpu().numpy()
                own["num_valid"] += valid.sum(dim=(0, 1)).cpu().numpy()
                for metric, states in lacking.values():
                    metric.update(states[group.name], output, group)
        return totals


def _columns_of(results: Mapping[str, Result], name: str) -> Mapping[str, np.ndarray] | None:
    """Scores per unit of the run's metric that logs `name`, whatever its id in the run file."""
    for result in results.values():
        if name in result.scalars and result.columns:
            return result.columns
    return None


def _metrics(
    names: Sequence[str], groups: tuple[GroupSpec, ...]
) -> dict[str, tuple[Metric, dict[str, dict[str, Tensor]]]]:
    """Metrics by name, with empty statistics; the correlation to an average only where something is repeated."""
    facts = MetricFacts(groups)
    repeats = any(group.tags.get(REPEAT_FRAME) for group in groups)
    made: dict[str, Metric] = {}
    for name in names:
        if name == "bits_per_spike":
            made[name] = BitsPerSpike(BitsPerSpikeOptions(), facts)
        elif name == "single_trial_correlation":
            made[name] = SingleTrialCorrelation(Options(), facts)
        elif repeats:
            made[name] = _repeat_metric(name, facts)
    return {name: (metric, {group.name: metric.state(group) for group in groups}) for name, metric in made.items()}


def _repeat_metric(name: str, facts: MetricFacts) -> Metric:
    if name == "feve":
        return FEVE(FEVEOptions(), facts)
    if name == "cc_norm":
        return CCNorm(CCNormOptions(), facts)
    return Oracle(Options(), facts) if name == "oracle" else CorrelationToAverage(Options(), facts)


def _rows(
    group: GroupSpec,
    scores: Mapping[str, Mapping[str, np.ndarray]],
    totals: Mapping[str, Mapping[str, np.ndarray]],
) -> list[dict[str, Any]]:
    _, target = response_task(group)
    own = {name: scores.get(name, {}).get(group.name, np.full(target.size, np.nan)) for name in SCORES}
    spikes, num_valid = totals[group.name]["spikes"], totals[group.name]["num_valid"]
    seconds = num_valid * (group.dt or np.nan)
    rates = np.divide(spikes, seconds, out=np.full(target.size, np.nan), where=seconds > 0)
    return [
        {
            "session": group.name,
            "subject": group.labels.get("subjects", ""),
            "unit": unit,
            **{name: float(own[name][index]) for name in SCORES},
            "spikes": int(spikes[index]) if target.kind == "counts" else float(spikes[index]),
            "mean_rate_hz": float(rates[index]),
            "num_valid": int(num_valid[index]),
        }
        for index, unit in enumerate(target.ids)
    ]
