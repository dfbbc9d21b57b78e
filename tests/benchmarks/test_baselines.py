"""The linear baselines are what they say, and reproduce the figures stored beside the recordings."""

from __future__ import annotations

import json

import numpy as np
import pytest


@pytest.fixture
def random():
    return np.random.Generator(np.random.Philox(7))


@pytest.fixture
def recording(baselines, random):
    """300 frames in three segments of 100: train, validation, test; a rate that follows the input two frames ago."""
    signals = random.random((300, 2))
    counts = random.poisson(np.r_[0.5, 0.5, 4 * signals[:-2, 0]][:, None] * [1.0, 0.5]).astype(float)
    return baselines.Recording(
        dataset="made",
        name="one",
        num_lags=5,
        signals=signals,
        counts=counts,
        split=np.repeat([0, 1, 2], 100),
        segment=np.repeat([0, 1, 2], 100),
        valid=np.arange(300) != 250,
        floor=1e-3,
        nonlinear=True,
    )


def test_lags_are_oldest_first(baselines):
    signals = np.arange(20.0).reshape(10, 2)
    rows = baselines.lagged(signals, np.array([2, 9]), 3)
    np.testing.assert_array_equal(rows, [[0, 1, 2, 3, 4, 5], [14, 15, 16, 17, 18, 19]])


def test_a_frame_counts_where_it_is_valid_and_its_history_lies_in_its_segment(baselines, recording):
    frames = recording.frames(baselines.TEST)
    assert frames.tolist() == [frame for frame in range(204, 300) if frame != 250]


@pytest.mark.parametrize("strength", [0.0, 3.0])
def test_ridge_solves_the_normal_equations(baselines, random, strength):
    x, y = random.normal(size=(200, 6)) + 3, random.normal(size=(200, 2)) - 1
    fresh = random.normal(size=(5, 6))
    centred = x - x.mean(0)
    weights = np.linalg.solve(centred.T @ centred + strength * np.eye(6), centred.T @ (y - y.mean(0)))
    expected = (fresh - x.mean(0)) @ weights + y.mean(0)
    np.testing.assert_allclose(baselines.Ridge(x, y).predict(fresh, strength), expected, atol=1e-10)


def test_nonlinearity_passes_through_the_means_of_equally_filled_bins(baselines, random):
    drive = random.normal(size=3000)
    counts = random.poisson(np.exp(drive)).astype(float)
    curve = baselines.Nonlinearity(drive, counts)
    parts = np.array_split(np.argsort(drive), baselines.NUM_BINS)
    np.testing.assert_allclose(
        curve(np.array([drive[part].mean() for part in parts])), [counts[p].mean() for p in parts]
    )


def test_bits_per_spike_is_the_gain_over_the_mean_rate(baselines):
    counts, rate = np.array([0.0, 2, 1, 0]), np.array([0.1, 1.5, 1.0, 0.2])

    def likelihood(r):
        return sum(k * np.log(v) - v for k, v in zip(counts, r, strict=True))

    expected = (likelihood(rate) - likelihood([0.75] * 4)) / 3 / np.log(2)
    assert baselines.bits_per_spike(rate, counts) == pytest.approx(expected)
    assert baselines.bits_per_spike(np.full(4, 0.75), counts) == pytest.approx(0)


def test_nothing_of_the_test_split_reaches_the_fit(baselines, recording):
    first = baselines.fit(recording)
    recording.counts[recording.split == baselines.TEST] = 1e9
    np.testing.assert_array_equal(baselines.fit(recording).rate, first.rate)


def test_another_model_is_scored_on_the_frames_that_both_predict(baselines, recording, tmp_path):
    prediction = baselines.fit(recording)
    frames = np.r_[10, prediction.frames[5:20]]
    np.savez(tmp_path / "made_one.npz", frames=frames, rate=np.full((16, 2), 0.5))
    rows = baselines.compare(recording, prediction, tmp_path)
    assert {row["num_frames"] for row in rows} == {15}
    ours = [row["bits_per_spike"] for row in rows if row["model"] == "baseline"]
    counts = recording.counts[prediction.frames[5:20]]
    expected = [baselines.bits_per_spike(prediction.rate[5:20, unit], counts[:, unit]) for unit in (0, 1)]
    assert ours == pytest.approx(expected)


def test_the_data_folder_is_as_given_or_the_environments(baselines, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("VISIONCORE_DATA", str(tmp_path / "b"))
    assert baselines.data_folder(str(tmp_path / "a")) == tmp_path / "a"
    assert baselines.data_folder() == tmp_path / "b"
    monkeypatch.delenv("VISIONCORE_DATA")
    assert baselines.data_folder().parts[-2:] == ("shared", "data")
    assert baselines.main(["--data", str(tmp_path / "a")]) == 2
    assert str(tmp_path / "a") in capsys.readouterr().err


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("dataset", "stored_correlation"), [("rat_rgc_bars", "test_corr_single"), ("mouse_rgc_chromatic", "test_corr_20ms")]
)
def test_stored_figures_are_reproduced(baselines, dataset, stored_correlation):
    root = baselines.data_folder()
    if not (root / dataset).is_dir():
        pytest.skip(f"no folder {dataset} in the data folder; set VISIONCORE_DATA")
    read = {"rat_rgc_bars": baselines.rat, "mouse_rgc_chromatic": baselines.mouse}[dataset]
    rows = [row for recording in read(root) for row in baselines.score(recording, baselines.fit(recording))]
    stored = json.loads((root / dataset / "check.json").read_text())
    assert [(row["recording"], row["unit"]) for row in rows] == [
        (r.get("session", "retina1"), r["unit"]) for r in stored
    ]
    names = {
        "bits_per_spike": "bits_per_spike",
        "correlation_stored": stored_correlation,
        "correlation_to_average": "psth_corr_on_repeats",
        "split_half": "psth_split_half",
    }
    for row, expected in zip(rows, stored, strict=True):
        for ours, theirs in names.items():
            if theirs in expected:
                assert row[ours] == pytest.approx(expected[theirs], abs=0.03), (row["recording"], row["unit"], ours)
