"""Neural metrics: equal to NumPy over all data at once, however the data are cut. B windows, L frames, N units."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_models import choice, recording

from visioncore_engine.contracts import Group, MetricFacts
from visioncore_engine.errors import ConfigError
from visioncore_neural._model_components import COMPONENTS

METRICS = ("bits_per_spike", "single_trial_correlation", "correlation_to_average")
every_metric = pytest.mark.parametrize("name", METRICS)


def build(name, *specs, **options):
    return choice("metric", name, **options).build(MetricFacts(specs or (spec(),)))


def spec(name="m1_a", num_units=4, num_repeat_frames=7):
    return recording(name, num_units, num_repeat_frames=num_repeat_frames)


def data(seed=0, *, num_windows=600, length=2, num_units=4, num_repeat_frames=7, per_unit=True):
    """Correlated rates and counts, a mask with every seventh window hidden, and frames of a repeated clip."""
    draw = np.random.default_rng(seed)
    shape = (num_windows, length, num_units)
    rates = draw.gamma(2.0, 0.3, shape)
    mask = draw.random(shape if per_unit else (*shape[:2], 1)) < 0.8
    mask[::7] = False
    frame = draw.integers(-1, num_repeat_frames, shape[:2])
    return rates.astype(np.float32), draw.poisson(rates).astype(np.float32), mask, frame


def windows(counts, mask, frame, rows):
    return Group(
        name="m1_a",
        index=0,
        inputs=torch.empty(len(rows), 1, 1, 1, 1),
        targets={"robs": torch.from_numpy(counts[rows])},
        mask=torch.from_numpy(mask[rows]),
        items=torch.from_numpy(np.asarray(rows)),
        tags={"repeat_frame": torch.from_numpy(frame[rows])},
    )


def accumulate(metric, rates, counts, mask, frame, *, cuts):
    """One state per cut (list of window numbers), each from zeros."""
    states = []
    for rows in cuts:
        state = metric.state(spec(num_units=rates.shape[2]))
        metric.update(state, {"robs": torch.from_numpy(rates[rows])}, windows(counts, mask, frame, rows))
        states.append(state)
    return states


def merged(states):
    return {key: sum(state[key] for state in states) for key in states[0]}


def scores(metric, states):
    return metric.compute({"m1_a": merged(states)}).columns["m1_a"]


def whole(name, rates, counts, mask, frame):
    """The metric from its definition, in float64, over all data at once."""
    units = []
    valid = np.broadcast_to(mask, rates.shape)
    for unit in range(rates.shape[2]):
        v = valid[..., unit]
        r, k, f = rates[..., unit][v].astype(float), counts[..., unit][v].astype(float), frame[v]
        if name == "bits_per_spike":
            null = np.full_like(r, k.mean())
            gain = (k * np.log(r + 1e-8) - r) - (k * np.log(null) - null)
            units.append(gain.sum() / k.sum() / np.log(2))
        elif name == "single_trial_correlation":
            units.append(np.corrcoef(r, k)[0, 1])
        else:
            repeated = [i for i in range(frame.max() + 1) if (f == i).sum() >= 2]
            units.append(np.corrcoef([(r[f == i].mean(), k[f == i].mean()) for i in repeated], rowvar=False)[0, 1])
    return np.array(units)


@every_metric
@pytest.mark.parametrize("per_unit", [True, False])
@pytest.mark.parametrize("size", [1, 32, 512])
def test_any_batch_size_gives_the_definition(name, size, per_unit):
    values = data(num_windows=520, per_unit=per_unit)
    cuts = [np.arange(start, min(start + size, 520)) for start in range(0, 520, size)]
    np.testing.assert_allclose(
        scores(build(name), accumulate(build(name), *values, cuts=cuts)), whole(name, *values), rtol=0, atol=1e-6
    )


@every_metric
@pytest.mark.parametrize("shards", [1, 2, 4, 8])
def test_a13_any_number_of_processes_contiguous_or_strided_gives_the_same(name, shards):
    values = data(seed=1)
    rows = np.arange(600)
    expected = scores(build(name), accumulate(build(name), *values, cuts=[rows]))
    np.testing.assert_allclose(expected, whole(name, *values), rtol=0, atol=1e-7)
    for cuts in (np.array_split(rows, shards), [rows[rank::shards] for rank in range(shards)]):
        for order in itertools.islice(itertools.permutations(accumulate(build(name), *values, cuts=cuts)), 6):
            np.testing.assert_allclose(scores(build(name), order), expected, rtol=0, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(
    name=st.sampled_from(METRICS),
    seed=st.integers(0, 2**16),
    per_unit=st.booleans(),
    bad=st.sampled_from([float("nan"), float("inf"), 1e9, -1e9]),
)
def test_values_under_a_false_mask_change_no_bit(name, seed, per_unit, bad):
    rates, counts, mask, frame = data(seed, num_windows=20, per_unit=per_unit)
    hidden = ~np.broadcast_to(mask, rates.shape)
    cut = [np.arange(20)]
    clean = accumulate(build(name), rates, counts, mask, frame, cuts=cut)[0]
    dirty = accumulate(build(name), np.where(hidden, bad, rates), np.where(hidden, bad, counts), mask, frame, cuts=cut)[
        0
    ]
    assert all(torch.equal(clean[key], dirty[key]) for key in clean)
    assert all(value.dtype == torch.float64 for value in clean.values())


@every_metric
def test_updates_add_in_place(name):
    values = data(num_windows=60)
    metric = build(name)
    state = metric.state(spec())
    for rows in np.array_split(np.arange(60), 4):
        group = windows(*values[1:], rows)
        metric.update(state, {"robs": torch.from_numpy(values[0][rows])}, group)
    one = merged(accumulate(metric, *values, cuts=np.array_split(np.arange(60), 4)))
    assert all(torch.allclose(state[key], one[key], rtol=1e-14, atol=0) for key in state)


# -- what cannot be scored, and what is perfect


def score_of(name, rates, counts, mask=None, frame=None):
    rates, counts = (np.asarray(value, dtype=np.float32)[:, None, :] for value in (rates, counts))
    mask = np.ones(rates.shape, dtype=bool) if mask is None else np.asarray(mask)[:, None, :]
    frame = np.zeros(rates.shape[:2], dtype=np.int64) if frame is None else np.asarray(frame)[:, None]
    metric = build(name, spec(num_units=rates.shape[2]))
    states = accumulate(metric, rates, counts, mask, frame, cuts=[np.arange(len(rates))])
    return metric.compute({"m1_a": merged(states)})


def test_bits_per_spike_of_the_mean_rate_is_zero_and_of_the_truth_is_its_closed_form():
    counts = np.array([[0, 3], [2, 1], [4, 0], [0, 0]], dtype=float)
    mean = np.broadcast_to(counts.mean(0), counts.shape)
    np.testing.assert_allclose(score_of("bits_per_spike", mean, counts).columns["m1_a"], 0, atol=1e-7)
    # rate = count: sum k log k - sum k, against K log(K / n) - K
    k = counts.sum(0)
    expected = ((counts * np.log(np.maximum(counts, 1))).sum(0) / k - np.log(k / 4)) / np.log(2)
    np.testing.assert_allclose(score_of("bits_per_spike", counts, counts).columns["m1_a"], expected, atol=1e-6)


def test_the_null_is_the_mean_over_the_scored_frames():
    counts = np.array([[1.0], [1.0], [9.0], [9.0]])
    result = score_of("bits_per_spike", np.ones((4, 1)), counts, mask=[[True], [True], [False], [False]])
    assert abs(result.columns["m1_a"][0]) < 1e-7


@pytest.mark.parametrize("name", ["bits_per_spike", "single_trial_correlation"])
def test_a14_units_without_a_valid_value_or_a_spike_are_nan_and_not_scored(name):
    rates = np.random.default_rng(0).gamma(2.0, 1.0, (40, 3))
    counts = np.random.default_rng(1).poisson(rates).astype(float)
    counts[:, 1] = 0
    mask = np.ones((40, 3), dtype=bool)
    mask[:, 2] = False
    result = score_of(name, rates, counts, mask)
    assert np.isnan(result.columns["m1_a"]).tolist() == [False, True, True]
    assert result.scalars[f"{name}_scored"] == 1
    assert result.scalars[name] == result.columns["m1_a"][0]


def test_a15_a_unit_worse_than_its_mean_counts_as_it_is():
    counts = np.random.default_rng(0).poisson(2.0, (200, 2)).astype(float)
    rates = np.stack([np.full(200, 2.0), counts[::-1, 1] + 0.5], axis=1)
    result = score_of("bits_per_spike", rates, counts)
    good, bad = result.columns["m1_a"]
    assert bad < -0.1
    assert result.scalars["bits_per_spike"] == pytest.approx((good + bad) / 2)
    assert result.scalars["bits_per_spike_median"] == pytest.approx((good + bad) / 2)
    assert result.scalars["bits_per_spike_clamped"] == pytest.approx(max(good, 0) / 2)
    assert result.scalars["bits_per_spike_positive"] == (good > 0) / 2
    assert result.scalars["bits_per_spike_scored"] == 2


@every_metric
def test_nothing_to_score_is_nan_not_zero(name):
    nothing = np.zeros((5, 2), dtype=bool)
    result = score_of(name, np.ones((5, 2)), np.ones((5, 2)), nothing)
    assert result.scalars[f"{name}_scored"] == 0
    assert all(np.isnan(value) for key, value in result.scalars.items() if not key.endswith("_scored"))


def test_correlation_with_itself_is_one_whatever_the_number_of_samples():
    for n in (4, 10, 100):
        counts = np.random.default_rng(n).poisson(3.0, (n, 2)).astype(float)
        np.testing.assert_allclose(
            score_of("single_trial_correlation", counts, counts).columns["m1_a"], 1, rtol=0, atol=1e-12
        )


@pytest.mark.parametrize("level", [0.1, 1 / 3, 123.456])
def test_a_constant_prediction_has_no_correlation(level):
    counts = np.random.default_rng(0).poisson(3.0, (1000, 1)).astype(float)
    assert np.isnan(score_of("single_trial_correlation", np.full((1000, 1), level), counts).columns["m1_a"][0])
    frame = np.arange(1000) % 7
    result = score_of("correlation_to_average", np.full((1000, 1), level), counts, frame=frame)
    assert np.isnan(result.columns["m1_a"][0])


def test_a_small_variation_on_a_large_mean_keeps_its_correlation():
    draw = np.random.default_rng(0)
    signal = draw.normal(size=(5000, 1))
    rates = (1000 + signal).astype(np.float32)
    counts = draw.poisson(np.exp(signal)).astype(float)
    expected = np.corrcoef(rates[:, 0].astype(float), counts[:, 0])[0, 1]
    assert score_of("single_trial_correlation", rates, counts).columns["m1_a"][0] == pytest.approx(expected, abs=1e-9)


# -- correlation to the average


def test_frames_shown_once_are_left_out_of_the_average():
    frame = [0, 0, 1, 1, 2, 2, 3, -1]
    rates = np.array([[1.0], [1], [2], [2], [3], [3], [99], [99]])
    counts = np.array([[0.0], [2], [1], [3], [2], [4], [0], [50]])
    assert score_of("correlation_to_average", rates, counts, frame=frame).columns["m1_a"][0] == pytest.approx(
        1, abs=1e-12
    )


def test_a_frame_counts_where_a_unit_has_two_valid_repeats():
    frame = [0, 0, 1, 1, 2, 2]
    rates = np.array([[1.0, 1.0], [1, 1], [2, 2], [2, 2], [3, 3], [3, 3]])
    counts = np.array([[1.0, 1.0], [1, 1], [5, 5], [5, 5], [3, 3], [3, 3]])
    mask = np.ones((6, 2), dtype=bool)
    mask[2, 1] = False
    first, second = score_of("correlation_to_average", rates, counts, mask, frame).columns["m1_a"]
    assert first == pytest.approx(np.corrcoef([1, 2, 3], [1, 5, 3])[0, 1])
    assert second == pytest.approx(1, abs=1e-12)


def test_recordings_without_repeats_are_nan_and_none_with_repeats_is_refused():
    plain = spec("m2_b", num_repeat_frames=0)
    metric = build("correlation_to_average", spec(), plain)
    result = metric.compute({"m1_a": metric.state(spec()), "m2_b": metric.state(plain)})
    assert np.isnan(result.columns["m2_b"]).all()
    with pytest.raises(ConfigError, match="no recording repeats a clip"):
        build("correlation_to_average", plain)


# -- what is logged


@every_metric
def test_everything_logged_is_declared_with_a_line_per_session_and_subject(name):
    specs = tuple(spec(session) for session in ("m1_a", "m1_b", "m2_a"))
    metric = build(name, *specs)
    states = {}
    for seed, one in enumerate(specs):
        states[one.name] = accumulate(metric, *data(seed, num_windows=80), cuts=[np.arange(80)])[0]
    result = metric.compute(states)
    declared = next(component.logs for component in COMPONENTS["metric"] if component.name == name)
    assert {key.split("/")[0] for key in result.scalars} == set(declared)
    assert {key for key in result.scalars if "/" in key} == {
        f"{name}/{tail}" for tail in ("m1_a", "m1_b", "m2_a", "subjects/m1", "subjects/m2")
    }
    m1 = np.concatenate([result.columns["m1_a"], result.columns["m1_b"]])
    assert result.scalars[f"{name}/subjects/m1"] == pytest.approx(m1.mean())
    assert result.scalars[name] == pytest.approx(np.concatenate([*result.columns.values()]).mean())
