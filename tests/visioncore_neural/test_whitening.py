"""Filters are recovered from a stimulus whose pixels and frames have much in common, energies from their squares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from neural_truth import FieldModel, SimpleEvaluation, recorded, recordings

from visioncore_engine.contracts import EvaluatorFacts
from visioncore_neural.analysis.triggered import spike_triggered
from visioncore_neural.analysis.whitening import Whitening, decorrelated
from visioncore_neural.evaluators.spikes import SpikeTriggeredAverage
from visioncore_neural.options.evaluator import SpikeTriggeredAverageOptions

NUM_FRAMES, SIZE, NUM_LAGS = 20_000, 8, 5


def correlated(num_frames=NUM_FRAMES, size=SIZE, seed=0):
    """Noise whose correlation falls off with the distance of pixels and frames, float64 (T, P)."""
    draws = np.random.default_rng(seed)
    apart = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    frames = draws.normal(size=(num_frames, size)) @ np.linalg.cholesky(0.9**apart).T
    for frame in range(1, num_frames):
        frames[frame] = 0.8 * frames[frame - 1] + 0.6 * frames[frame]
    return frames


def seen(stim):
    """Windows (T - K + 1, K, P), oldest frame first."""
    return np.lib.stride_tricks.sliding_window_view(stim, NUM_LAGS, axis=0).transpose(0, 2, 1)


def answer(stim, fields, nonlinearity, seed=1):
    """Counts (T, N) of units with fields (N, K, P); the first frames have none."""
    drive = np.tensordot(seen(stim), fields, axes=([1, 2], [1, 2]))
    rates = np.zeros((len(stim), len(fields)))
    rates[NUM_LAGS - 1 :] = nonlinearity(drive / drive.std(0))
    return np.random.default_rng(seed).poisson(rates).astype(float)


def averaged(stim, counts, **options):
    num = len(stim)
    valid = np.ones(counts.shape, dtype=bool)
    return spike_triggered(stim, np.zeros(num, int), np.arange(num), counts, valid, num_lags=NUM_LAGS, **options)


def likeness(one, other):
    return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))


def fields():
    """Differences of neighbours, which a blurred stimulus hides: a pixel against the next, a frame against the next."""
    made = np.zeros((2, NUM_LAGS, SIZE))
    made[0, 3, 4], made[0, 3, 5] = 1.0, -1.0
    made[1, 2, 2], made[1, 3, 2] = -1.0, 1.0
    return made


def test_whitening_recovers_filters_that_the_raw_average_does_not():
    stim = correlated()
    counts = answer(stim, fields(), lambda drive: np.exp(drive - 1.0))
    raw, white = averaged(stim, counts)[0], averaged(stim, counts, ridge=1e-3)[0]
    for unit, field in enumerate(fields()):
        assert likeness(white[unit], field) > 0.97
        assert likeness(raw[unit], field) < 0.7


def test_a_whitened_average_is_the_inverse_of_both_covariances_times_the_average():
    stim = correlated(500)
    counts = np.random.default_rng(2).poisson(1.0, (500, 3)).astype(float)
    windows = seen(stim) - seen(stim).mean(0)
    space = windows[:, -1].T @ windows[:, -1] / len(windows)
    time = np.einsum("tip,tjp->ij", windows, windows)
    time /= np.trace(time) / NUM_LAGS
    whole = np.kron(time, space)
    inverse = np.linalg.inv(whole + 0.05 * np.trace(whole) / len(whole) * np.eye(len(whole)))
    raw, (white, z) = averaged(stim, counts)[0], averaged(stim, counts, ridge=0.05)
    np.testing.assert_allclose(white.reshape(3, -1), raw.reshape(3, -1) @ inverse, rtol=1e-8, atol=1e-12)
    kept = counts[NUM_LAGS - 1 :]
    deviation = np.sqrt(np.diag(inverse @ whole @ inverse) / len(kept))
    expected = white.reshape(3, -1) / deviation / (kept.std(0) / kept.mean(0))[:, None]
    np.testing.assert_allclose(z.reshape(3, -1), expected, rtol=1e-8)


def test_the_z_of_responses_to_nothing_is_standard_normal():
    stim = correlated()
    _, z = averaged(stim, np.random.default_rng(3).poisson(0.5, (NUM_FRAMES, 60)).astype(float), ridge=1e-2)
    assert abs(z.mean()) < 0.05
    assert z.std() == pytest.approx(1.0, abs=0.1)


def test_decorrelated_pixels_are_uncorrelated_and_stay_in_their_places():
    stim = correlated() * np.arange(1, SIZE + 1) + 7.0
    white = decorrelated(stim, np.arange(NUM_FRAMES), 1e-9)
    np.testing.assert_allclose(np.cov(white.T, ddof=0), np.eye(SIZE), atol=1e-6)
    links = np.corrcoef(np.c_[white, stim].T)[:SIZE, SIZE:]
    assert links.argmax(1).tolist() == list(range(SIZE))


def test_a_stimulus_that_never_changes_has_no_filter():
    flat = np.ones((50, 3))
    assert np.isnan(Whitening(flat, np.arange(40), 4, 0.1)(np.ones((1, 4, 3)))).all()
    average, z = averaged(flat, np.random.default_rng(0).poisson(1.0, (50, 1)).astype(float), ridge=0.1)
    assert np.isnan(z).all()
    assert np.isnan(average).all()


class Energy(FieldModel):
    def forward(self, batch):
        return [{"robs": 0.3 * output["robs"]} for output in super().forward(batch)]


@pytest.fixture(scope="module")
def energetic():
    """A session with units that answer to the square of one difference of pixels, under a correlated stimulus."""
    made = recorded(num_frames=12_000, num_units=2, shape=(1, 1, SIZE), invalid=0.1)
    stim = correlated(12_000)
    own = np.zeros((2, NUM_LAGS, SIZE))
    for unit, (lag, pixel) in enumerate(((1, 1), (3, 5))):
        own[unit, lag, pixel], own[unit, lag, pixel + 1] = 1.0, -1.0
    counts = answer(stim, own, lambda drive: 0.3 * drive**2)
    made = replace(made, stim=stim[:, None, None].astype(np.float32), robs=counts.astype(np.float32))
    return SimpleEvaluation(recordings(made), Energy({"m1_a": own[:, None, :, None].astype(np.float32)}, power=2))


def found(evaluation, **options):
    chosen = SpikeTriggeredAverageOptions(num_lags=NUM_LAGS, **options)
    return SpikeTriggeredAverage(chosen, EvaluatorFacts(evaluation.dataset.groups)).evaluate(evaluation)


def best(result, name, unit):
    return max(result.tables[name].rows[NUM_LAGS * unit : NUM_LAGS * (unit + 1)], key=lambda row: abs(row["data_z"]))


def test_an_energy_unit_shows_in_whitened_squares_and_not_in_the_average(energetic):
    name = "spike_triggered_energy_whitened"
    frames, energy = found(energetic), found(energetic, of="energy", whiten=0.01)
    for unit, (lag, pixel) in enumerate(((1, 1), (3, 5))):
        row = best(energy, name, unit)
        assert row["lag_ms"] == pytest.approx(20.0 * (NUM_LAGS - 1 - lag))
        assert row["data_column"] in (pixel, pixel + 1)
        assert row["model_column"] in (pixel, pixel + 1)
        assert row["data_z"] > 8
        assert abs(best(frames, "spike_triggered_average", unit)["data_z"]) < 5
    assert energy.scalars[f"{name}_correlation"] > 0.8


def test_squares_that_are_not_whitened_show_little_of_the_lag(energetic):
    share = {}
    for whiten in (None, 0.01):
        (table,) = found(energetic, of="energy", whiten=whiten).tables.values()
        own = np.array([row["data_z"] for row in table.rows[:NUM_LAGS]]) ** 2
        share[whiten] = own[1] / own.sum()
    assert share[0.01] > 0.7
    assert share[None] < 0.4


def test_each_way_of_averaging_has_names_of_its_own_and_a_picture(energetic):
    ways = [found(energetic, of=of, whiten=whiten) for of in ("frames", "energy") for whiten in (None, 0.1)]
    names = [(*way.tables, *way.figures, *way.scalars) for way in ways]
    assert len({name for own in names for name in own}) == 8
    for (table, figure, scalar), way in zip(names, ways, strict=True):
        assert table == figure
        assert scalar == f"{table}_correlation"
        assert way.figures[figure].startswith(b"\x89PNG")
