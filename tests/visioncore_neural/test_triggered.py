"""Averages around spikes and saccades, and tuning to gratings, of units that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from neural_truth import FieldModel, SimpleEvaluation, recorded, recordings
from torch import nn

from visioncore_engine.contracts import EvaluatorFacts
from visioncore_engine.errors import DataError
from visioncore_neural.analysis.triggered import detect_saccades, event_averages, separated, spike_triggered
from visioncore_neural.evaluators.gratings import GratingTuning, drifting_grating, harmonics
from visioncore_neural.evaluators.spikes import SpikeTriggeredAverage
from visioncore_neural.evaluators.triggered import SaccadeTriggered
from visioncore_neural.options.evaluator import (
    GratingTuningOptions,
    SaccadeTriggeredOptions,
    SpikeTriggeredAverageOptions,
)


class Exponential(FieldModel):
    def forward(self, batch):
        return [{"robs": torch.exp(output["robs"] - 1.0)} for output in super().forward(batch)]


def test_the_average_before_spikes_is_numpys_and_its_lags_are_oldest_first():
    draws = np.random.default_rng(0)
    stim, counts = draws.normal(size=(400, 3)), draws.poisson(0.7, (400, 2)).astype(float)
    trial, frames = np.arange(400) // 50, np.arange(400)
    valid = draws.random((400, 2)) > 0.3
    average, z = spike_triggered(stim, trial, frames, np.where(valid, counts, 1e9), valid, num_lags=4)
    for unit in range(2):
        own = frames[valid[:, unit] & (frames % 50 >= 3)]
        for lag in range(4):
            seen, weight = stim[own - 3 + lag], counts[own, unit]
            expected = (weight[:, None] * seen).sum(0) / weight.sum() - seen.mean(0)
            np.testing.assert_allclose(average[unit, lag], expected, atol=1e-10)
            correlations = [np.corrcoef(weight, seen[:, pixel])[0, 1] for pixel in range(3)]
            np.testing.assert_allclose(z[unit, lag], np.sqrt(len(own)) * np.array(correlations), rtol=1e-9)


def test_a_unit_without_spikes_has_no_average():
    average, z = spike_triggered(
        np.ones((20, 2)), np.zeros(20), np.arange(20), np.zeros((20, 1)), np.ones((20, 1), bool), num_lags=3
    )
    assert np.isnan(average).all()
    assert np.isnan(z).all()


def test_data_and_model_agree_on_the_filter_that_made_both():
    fields = np.zeros((3, 1, 4, 5, 6), dtype=np.float32)
    for unit in range(3):
        fields[unit, 0, unit + 1, unit, 2 * unit] = 1.0  # unit u sees one pixel, 2 - u frames before its response
    made = recorded(num_frames=6000)
    drive = np.zeros((6000, 3))
    for unit in range(3):
        lag = 2 - unit
        drive[lag:, unit] = made.stim[: 6000 - lag, 0, unit, 2 * unit]
    counts = np.random.default_rng(3).poisson(np.exp(drive - 1.0)).astype(np.float32)
    evaluation = SimpleEvaluation(recordings(replace(made, robs=counts)), Exponential({"m1_a": fields}))
    evaluator = SpikeTriggeredAverage(
        SpikeTriggeredAverageOptions(num_lags=4), EvaluatorFacts(evaluation.dataset.groups)
    )
    result = evaluator.evaluate(evaluation)
    rows = result.tables["spike_triggered_average"].rows
    assert [row["lag_ms"] for row in rows[:4]] == pytest.approx([60.0, 40.0, 20.0, 0.0])
    for unit in range(3):
        own = max(rows[4 * unit : 4 * unit + 4], key=lambda row: abs(row["data_z"]))
        assert own["lag_ms"] == pytest.approx(20.0 * (2 - unit))
        for word in ("data", "model"):
            assert (own[f"{word}_row"], own[f"{word}_column"]) == (unit, 2 * unit)
        assert own["model_z"] > own["data_z"] > 10
        assert own["correlation"] > 0.9
    assert result.scalars["spike_triggered_average_correlation"] > 0.8


def test_saccades_begin_where_the_eye_does_and_intervals_are_bounded():
    eyepos = np.zeros((200, 2))
    for frame in (10, 30, 34, 90, 150):
        eyepos[frame:, 0] += 1.0
        eyepos[frame + 1 :, 0] += 1.0  # the eye moves on: one saccade, not two
    trial = np.arange(200) // 100
    found = detect_saccades(eyepos, trial, 0.01, speed=50.0, shortest=0.1, longest=0.3)
    # 34 follows too soon; 90 too late; 150 is the first of its trial
    assert found.tolist() == [10, 30, 150]
    jump = np.zeros((200, 2))
    jump[100:] = 5.0  # between trials nothing moves
    assert detect_saccades(jump, trial, 0.01, speed=50.0, shortest=0.0, longest=9.0).tolist() == []
    assert separated(np.array([5, 3]), np.zeros(9), 1.0, shortest=2, longest=2).tolist() == [3, 5]


def test_averages_around_events_stay_in_the_trial_and_count_what_is_valid():
    values = np.arange(20.0)[:, None]
    valid = np.ones((20, 1), dtype=bool)
    valid[6] = False
    trial = np.arange(20) // 10
    mean, num = event_averages(values, np.arange(20), valid, trial, np.array([5, 9, 12]), lags=np.array([-1, 0, 1, 9]))
    assert num[:, 0].tolist() == [3, 3, 1, 0]
    np.testing.assert_allclose(mean[:3, 0], [(4 + 8 + 11) / 3, (5 + 9 + 12) / 3, 13.0])
    assert np.isnan(mean[3, 0])


def saccadic(**changes):
    made = recorded(num_frames=4000)
    eyepos = np.zeros((4000, 2), dtype=np.float32)
    eyepos[np.arange(4000) % 20 >= 10] = 3.0
    rates = np.where(np.arange(4000) % 20 == 12, 4.0, 0.5)  # two frames after each movement
    counts = np.random.default_rng(0).poisson(rates[:, None], (4000, 3)).astype(np.float32)
    return replace(made, eyepos=eyepos, robs=counts, **changes)


def saccades_of(made, **options):
    fields = {"m1_a": np.zeros((3, 1, 4, 5, 6), dtype=np.float32)}
    evaluation = SimpleEvaluation(recordings(made), Exponential(fields))
    chosen = SaccadeTriggeredOptions(before_ms=40, after_ms=80, shortest_ms=0, longest_ms=1000, **options)
    return SaccadeTriggered(chosen, EvaluatorFacts(evaluation.dataset.groups)).evaluate(evaluation)


def test_rates_around_saccades_are_in_hertz_and_milliseconds():
    result = saccades_of(saccadic())
    rows = result.tables["saccade_triggered"].rows[:7]
    assert [row["lag_ms"] for row in rows] == pytest.approx([-40, -20, 0, 20, 40, 60, 80])
    course = [row["data_hz"] for row in rows]
    assert course[4] == pytest.approx(4.0 / 0.02, rel=0.2)
    assert max(course[:4] + course[5:]) < 60
    assert [row["model_hz"] for row in rows] == pytest.approx([np.exp(-1.0) / 0.02] * 7, rel=1e-5)
    assert result.scalars["saccades"] == 100


def test_onsets_may_be_given_and_missing_ones_are_told():
    onset = (np.arange(4000) % 20 == 10).astype(np.float32)[:, None]
    given = saccades_of(saccadic(behavior=onset, behavior_names=("onset",)), channel="onset")
    found = saccades_of(saccadic())
    for one, other in zip(*(result.tables["saccade_triggered"].rows for result in (given, found)), strict=True):
        assert one == pytest.approx(other)
    with pytest.raises(DataError, match="behavior has the channels onset"):
        saccades_of(saccadic(behavior=onset, behavior_names=("onset",)), channel="onsets")
    with pytest.raises(DataError, match="this recording has none"):
        saccades_of(replace(saccadic(), eyepos=None))


def test_a_grating_moves_where_it_should_by_what_it_should():
    frames = drifting_grating((8, 16), 9, direction=0.0, period=8.0, cycles_per_frame=1 / 8)
    for step in range(8):
        np.testing.assert_allclose(frames[step + 1], np.roll(frames[step], 1, axis=1), atol=1e-12)
    down = drifting_grating((16, 8), 2, direction=90.0, period=8.0, cycles_per_frame=1 / 8)
    np.testing.assert_allclose(down[1], np.roll(down[0], 1, axis=0), atol=1e-12)


def test_harmonics_of_a_sine_are_known():
    time = np.arange(50)
    rates = 3.0 + 2.0 * np.cos(2 * np.pi * 5 * time / 50 + np.deg2rad(30.0))[:, None]
    f0, f1, phase = harmonics(rates, 5)
    assert (f0[0], f1[0], phase[0]) == (pytest.approx(3.0), pytest.approx(2.0), pytest.approx(30.0))


class Squared(FieldModel):
    def forward(self, batch):
        return [{"robs": 0.1 + output["robs"]} for output in super().forward(batch)]


class Rectified(FieldModel):
    def forward(self, batch):
        return [{"robs": nn.functional.relu(output["robs"])} for output in super().forward(batch)]


@pytest.mark.parametrize(("model", "power", "low", "high"), [(Rectified, 1, 1.4, 1.7), (Squared, 2, -0.01, 0.05)])
def test_orientation_period_and_modulation_of_known_units_are_found(model, power, low, high):
    """Half a sine has F1 / F0 = pi / 2; the energy of a pair in quadrature has no F1."""
    size = 16
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    fields = []
    for direction in (0.0, 90.0, 135.0):
        along = columns * np.cos(np.deg2rad(direction)) + rows * np.sin(np.deg2rad(direction))
        window = np.exp(-(rows**2 + columns**2) / (2 * 3.0**2))
        pair = [window * np.cos(2 * np.pi * along / 8.0 + phase) for phase in (0.0, -np.pi / 2)]
        pair = [one - window * one.sum() / window.sum() for one in pair]
        fields.append(np.stack(pair[:power])[:, None, None])
    made = recorded(num_frames=400, shape=(1, size, size))
    evaluation = SimpleEvaluation(recordings(made), model({"m1_a": np.stack(fields).astype(np.float32)}, power=power))
    options = GratingTuningOptions(periods=(5.0, 8.0, 12.0), hz=5.0)
    result = GratingTuning(options, EvaluatorFacts(evaluation.dataset.groups)).evaluate(evaluation)
    found = result.tables["grating_tuning"].rows
    assert [row["orientation"] for row in found] == [90.0, 0.0, 45.0]
    assert {row["period"] for row in found} == {8.0}
    assert all(low < row["modulation"] < high for row in found)
    assert result.scalars["grating_modulation_scored"] == 3
