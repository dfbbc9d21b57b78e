from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest
import torch
from neural_truth import FieldModel, SimpleEvaluation, TrueModel, recorded, recordings
from torch import nn

from visioncore_engine.component import resolve_address
from visioncore_engine.contracts import DatasetFacts, EvaluatorFacts, MetricFacts
from visioncore_engine.errors import DataError
from visioncore_engine.options import Options
from visioncore_neural._evaluation_components import COMPONENTS, REPORT_SECTIONS
from visioncore_neural.evaluators.ground_truth import GroundTruth
from visioncore_neural.evaluators.names import SCORES, TRUTH_COLUMNS, UNIT_COLUMNS
from visioncore_neural.evaluators.units import Units
from visioncore_neural.metrics.bits_per_spike import BitsPerSpike
from visioncore_neural.metrics.correlation import SingleTrialCorrelation
from visioncore_neural.options.dataset import SyntheticOptions
from visioncore_neural.options.evaluator import GroundTruthOptions, UnitsOptions
from visioncore_neural.options.metric import BitsPerSpikeOptions
from visioncore_neural.simulation.dataset import Synthetic


class Softplus(FieldModel):
    """Positive rates."""

    def forward(self, batch):
        return [{"robs": nn.functional.softplus(output["robs"])} for output in super().forward(batch)]


class Constant(nn.Module):
    """Predicts one rate for everything, whatever it is shown."""

    history = 3

    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(0.3))

    def forward(self, batch):
        outputs = []
        for group in batch.groups:
            shape = group.inputs.shape[0], group.inputs.shape[2] - self.history, 12
            outputs.append({"robs": self.rate + 0.0 * group.inputs.sum() + torch.zeros(shape)})
        return outputs


def evaluation_of(*made, length=4):
    draws = np.random.default_rng(8)
    dataset = recordings(*made, length=length)
    fields = {recording.name: 0.2 * draws.normal(size=(recording.num_units, 1, 4, 5, 6)) for recording in made}
    return SimpleEvaluation(dataset, Softplus(fields))


def units_of(evaluation, **options):
    return Units(UnitsOptions(**options), EvaluatorFacts(evaluation.dataset.groups)).evaluate(evaluation)


def scored(recording):
    """Which values count: held out, valid, with their history in one trial."""
    late = np.arange(recording.num_frames) % 20 >= 3
    return recording.valid & ((recording.split == 1) & late)[:, None]


def test_the_table_of_units_counts_what_numpy_counts():
    made = recorded("m2_a", poison=1e9), recorded("m1_a", num_units=2, seed=1, poison=np.nan)
    result = units_of(evaluation_of(*made))
    rows = result.tables["units"].rows
    assert result.tables["units"].columns == UNIT_COLUMNS
    # sorted by session, then by the unit's position
    assert [(row["session"], row["unit"]) for row in rows] == [
        ("m1_a", "u0"), ("m1_a", "u1"), ("m2_a", "u0"), ("m2_a", "u1"), ("m2_a", "u2")
    ]  # fmt: skip
    assert [row["subject"] for row in rows] == ["m1", "m1", "m2", "m2", "m2"]
    for recording in made:
        own = [row for row in rows if row["session"] == recording.name]
        counts = scored(recording)
        assert [row["num_valid"] for row in own] == counts.sum(0).tolist()
        spikes = np.where(counts, recording.robs, 0).sum(0)
        assert [row["spikes"] for row in own] == spikes.tolist()
        np.testing.assert_allclose([row["mean_rate_hz"] for row in own], spikes / counts.sum(0) / recording.dt)


def test_scores_of_the_run_and_scores_made_here_are_the_same():
    evaluation = evaluation_of(recorded(), recorded("m2_a", seed=5))
    alone = units_of(evaluation).tables["units"].rows
    facts = MetricFacts(evaluation.dataset.groups)
    metrics = {
        "another id": BitsPerSpike(BitsPerSpikeOptions(), facts),
        "single_trial_correlation": SingleTrialCorrelation(Options(), facts),
    }
    states = {name: {group.name: metric.state(group) for group in facts.groups} for name, metric in metrics.items()}
    for batch, outputs in evaluation.batches():
        for name, metric in metrics.items():
            metric.update(states[name][batch.groups[0].name], outputs[0], batch.groups[0])
    evaluation.scores = {name: metric.compute(states[name]) for name, metric in metrics.items()}
    assert repr(units_of(evaluation).tables["units"].rows) == repr(alone)
    np.testing.assert_array_equal(
        [row["bits_per_spike"] for row in alone[:3]], evaluation.scores["another id"].columns["m1_a"]
    )


def test_the_runs_own_score_is_taken_and_not_made_anew():
    evaluation = evaluation_of(recorded())
    facts = MetricFacts(evaluation.dataset.groups)
    metric = BitsPerSpike(BitsPerSpikeOptions(eps=0.5), facts)  # not what it would be computed with here
    states = {group.name: metric.state(group) for group in facts.groups}
    for batch, outputs in evaluation.batches():
        metric.update(states["m1_a"], outputs[0], batch.groups[0])
    evaluation.scores = {"bits_per_spike": metric.compute(states)}
    rows = units_of(evaluation).tables["units"].rows
    assert [row["bits_per_spike"] for row in rows] == evaluation.scores["bits_per_spike"].columns["m1_a"].tolist()


def test_a_silent_unit_and_a_run_without_repeats_are_not_scored_and_that_is_counted():
    counts = np.random.default_rng(2).poisson(0.5, (240, 3))
    counts[:, 1] = 0
    result = units_of(evaluation_of(recorded(counts=counts)))
    rows = result.tables["units"].rows
    assert [math.isnan(row["bits_per_spike"]) for row in rows] == [False, True, False]
    assert all(math.isnan(row["correlation_to_average"]) for row in rows)
    assert (rows[1]["spikes"], rows[1]["mean_rate_hz"]) == (0, 0.0)
    assert result.scalars == {
        "units": 3,
        "units_scored/bits_per_spike": 2,
        "units_scored/single_trial_correlation": 2,
        "units_scored/correlation_to_average": 0,
        "units_scored/feve": 0,
        "units_scored/oracle": 0,
        "units_scored/cc_norm": 0,
    }


def test_repeats_are_averaged_where_there_are_any():
    rows = units_of(evaluation_of(recorded(repeats=True), recorded("m2_a"))).tables["units"].rows
    assert [math.isnan(row["correlation_to_average"]) for row in rows] == [False] * 3 + [True] * 3
    assert [math.isnan(row["oracle"]) for row in rows] == [False] * 3 + [True] * 3


def test_batches_may_be_cut_in_any_way():
    evaluation = evaluation_of(recorded())
    whole = units_of(evaluation).tables["units"].rows
    evaluation.windows = 1
    for one, other in zip(units_of(evaluation).tables["units"].rows, whole, strict=True):
        assert (one["spikes"], one["num_valid"]) == (other["spikes"], other["num_valid"])
        np.testing.assert_allclose(*([row[name] for name in SCORES] for row in (one, other)), rtol=1e-9)


def simulated(num_sessions=2, **options):
    chosen = {"duration": 60.0, "trial": 3.0, "size": 18, "num_units": 12, "behavior_channels": 0, **options}
    return Synthetic(SyntheticOptions(num_sessions=num_sessions, **chosen), DatasetFacts(seed=4))


def truth_of(dataset, model, **options):
    evaluator = GroundTruth(GroundTruthOptions(num_predictions=40, **options), EvaluatorFacts(dataset.groups))
    return evaluator.evaluate(SimpleEvaluation(dataset, model))


def test_the_true_model_recovers_everything():
    dataset = simulated()
    result = truth_of(dataset, TrueModel(dataset))
    table = result.tables["ground_truth"]
    assert (table.columns, len(table.rows)) == (TRUTH_COLUMNS, 24)
    assert result.scalars["rf_error_median"] < 0.2
    assert result.scalars["rf_error_within_2px"] == 1.0
    # the shape of the true rate, up to the scale that a correlation does not see
    assert result.scalars["correlation_ratio"] == pytest.approx(1.0, abs=0.05)
    assert result.figures["ground_truth"].startswith(b"\x89PNG")
    rows = table.rows
    assert {row["kind"] for row in rows} == {"linear", "energy"}
    np.testing.assert_allclose(
        [row["error"] for row in rows],
        [math.dist((row["row"], row["column"]), (row["true_row"], row["true_column"])) for row in rows],
    )


def test_the_correlation_of_the_true_rate_is_that_of_numpy():
    dataset = simulated(1, num_subjects=1)
    rows = truth_of(dataset, TrueModel(dataset)).tables["ground_truth"].rows
    rate, counts = [], []
    for batch, _ in SimpleEvaluation(dataset, TrueModel(dataset)).batches():
        (group,) = batch.groups
        rate.append(dataset.truth("m1_a").rate[group.tags["frame"].clamp(min=0)].reshape(-1, 12))
        mask = group.mask.expand_as(group.targets["robs"])
        counts.append(torch.where(mask, group.targets["robs"], torch.nan).numpy().reshape(-1, 12))
    rate, counts = np.concatenate(rate), np.concatenate(counts)
    for unit, row in enumerate(rows):
        known = ~np.isnan(counts[:, unit])
        expected = np.corrcoef(rate[known, unit], counts[known, unit])[0, 1]
        assert row["true_correlation"] == pytest.approx(expected, rel=1e-5)


def test_a_model_that_sees_nothing_is_not_flattered():
    dataset = simulated(1, num_subjects=1)
    result = truth_of(dataset, Constant())
    assert math.isnan(result.scalars["rf_error_median"])
    assert result.scalars["rf_error_within_2px"] == 0.0
    assert result.scalars["correlation_ratio"] == 0.0
    assert all(math.isnan(row["row"]) and math.isnan(row["error"]) for row in result.tables["ground_truth"].rows)


def test_recorded_data_know_no_truth_and_say_so():
    evaluation = evaluation_of(recorded())
    evaluator = GroundTruth(GroundTruthOptions(), EvaluatorFacts(evaluation.dataset.groups))
    with pytest.raises(DataError, match="do not know what they were made of"):
        evaluator.evaluate(evaluation)


def test_a_table_survives_its_file():
    evaluation = evaluation_of(recorded())
    table = units_of(evaluation).tables["units"]
    text = io.StringIO()
    writer = csv.DictWriter(text, table.columns)
    writer.writeheader()
    writer.writerows(table.rows)
    read = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert [float(row["bits_per_spike"]) for row in read] == [row["bits_per_spike"] for row in table.rows]


def test_every_address_leads_somewhere():
    for component in COMPONENTS["evaluator"]:
        assert callable(resolve_address(component.build))
        assert not component.options or issubclass(resolve_address(component.options), Options)
    assert all(callable(resolve_address(address)) for address in REPORT_SECTIONS)
