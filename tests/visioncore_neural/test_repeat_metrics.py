"""Scores against repeats: equal to their published definitions, however the data are cut. R frames, J repeats, N units.

The reference is written from the definitions, in NumPy over explicit lists of repeats, and shares nothing with the
sums that the metrics keep.
"""

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

METRICS = ("feve", "oracle", "cc_abs", "cc_max", "cc_norm")
every_metric = pytest.mark.parametrize("name", METRICS)
NO_THRESHOLD = {"feve": {"min_fev": 0.0}, "cc_norm": {"min_cc_max": 0.0}}


def spec(num_units, num_frames):
    return recording("m1_a", num_units, num_repeat_frames=num_frames)


def build(name, num_units, num_frames, **options):
    return choice("metric", name, **options).build(MetricFacts((spec(num_units, num_frames),)))


def accumulate(metric, arrays, cuts):
    """One state per cut of the samples; every sample is a window of one frame."""
    x, y, mask, frame = arrays
    num_frames, states = int(frame.max()) + 1, []
    for rows in cuts:
        state = metric.state(spec(x.shape[1], num_frames))
        group = Group(
            name="m1_a",
            index=0,
            inputs=torch.empty(len(rows), 1, 1, 1, 1),
            targets={"robs": torch.from_numpy(y[rows][:, None])},
            mask=torch.from_numpy(mask[rows][:, None]),
            items=torch.from_numpy(np.asarray(rows)),
            tags={"repeat_frame": torch.from_numpy(frame[rows][:, None])},
        )
        metric.update(state, {"robs": torch.from_numpy(x[rows][:, None])}, group)
        states.append(state)
    return states


def result_of(name, *arrays, cuts=None, **options):
    metric = build(name, arrays[0].shape[1], int(arrays[3].max()) + 1, **options)
    states = accumulate(metric, arrays, cuts or [np.arange(len(arrays[0]))])
    return metric.compute({"m1_a": {key: sum(state[key] for state in states) for key in states[0]}})


def columns_of(name, *arrays, **more):
    return result_of(name, *arrays, **more).columns["m1_a"]


def repeats(seed=0, *, num_frames=40, num_repeats=9, num_units=4, valid=0.8, extra=30):
    """Responses to repeats in a random order of samples, some masked, and `extra` samples that are no repeat."""
    draw = np.random.default_rng(seed)
    rates = draw.gamma(1.5, 1.0, (num_frames, num_units))
    frame = draw.permutation(np.concatenate([np.repeat(np.arange(num_frames), num_repeats), np.full(extra, -1)]))
    y = draw.poisson(rates[frame]).astype(np.float32)
    x = (rates[frame] * draw.gamma(20, 1 / 20, rates[frame].shape)).astype(np.float32)
    return x, y, draw.random(y.shape) < valid, frame.astype(np.int64)


# -- the definitions


def lists(x, y, mask, frame, unit):
    """Predictions and responses of each frame with two or more valid repeats of a unit, float64."""
    found = []
    for number in range(frame.max() + 1):
        rows = (frame == number) & mask[:, unit]
        if rows.sum() >= 2:
            found.append((x[rows, unit].astype(float), y[rows, unit].astype(float)))
    return [pair[0] for pair in found], [pair[1] for pair in found]


def define_feve(x, y):
    everything, predicted = np.concatenate(y), np.concatenate(x)
    total = np.var(everything, ddof=1)
    noise = np.mean([np.var(one, ddof=1) for one in y])
    return 1 - (np.mean((everything - predicted) ** 2) - noise) / (total - noise)


def define_oracle(x, y):
    others = [np.array([np.delete(one, j).mean() for j in range(len(one))]) for one in y]
    return np.corrcoef(np.concatenate(y), np.concatenate(others))[0, 1]


def define_cc_abs(x, y):
    return np.corrcoef([one.mean() for one in x], [one.mean() for one in y])[0, 1]


def define_cc_max(x, y):
    t = np.array([len(one) for one in y], dtype=float)
    n = np.sqrt((t - 1).sum() / ((t - 1) / t**2).sum())
    mean = np.array([one.mean() for one in y])
    total = np.mean([np.mean(one**2) for one in y]) - mean.mean() ** 2
    power = (n * mean.var() - total) / (n - 1)
    return np.sqrt(power / mean.var())


DEFINITIONS = {
    "feve": define_feve,
    "oracle": define_oracle,
    "cc_abs": define_cc_abs,
    "cc_max": define_cc_max,
    "cc_norm": lambda x, y: define_cc_abs(x, y) / define_cc_max(x, y),
}


def defined(name, *arrays):
    return np.array([DEFINITIONS[name](*lists(*arrays, unit)) for unit in range(arrays[0].shape[1])])


@every_metric
@pytest.mark.parametrize("valid", [1.0, 0.8])
def test_parity_with_the_definition_where_every_frame_has_as_many_repeats_and_where_not(name, valid):
    arrays = repeats(3, valid=valid)
    found = columns_of(name, *arrays, **NO_THRESHOLD.get(name, {}))
    np.testing.assert_allclose(found, defined(name, *arrays), rtol=0, atol=1e-9)
    assert np.isfinite(found).all()


def by_trial(seed, num_frames=30, num_repeats=6, drift=0.0):
    """Responses (trials, frames) of one unit; every trial has the same mean, plus `drift` times its number."""
    draw = np.random.default_rng(seed)
    responses = draw.poisson(draw.gamma(2.0, 1.0, num_frames), (num_repeats, num_frames)).astype(float)
    responses -= responses.mean(1, keepdims=True) - drift * np.arange(num_repeats)[:, None]
    return responses + 10.0


def as_samples(responses):
    frame = np.tile(np.arange(responses.shape[1]), len(responses))
    y = responses.reshape(-1, 1)
    return np.zeros_like(y), y, np.ones(y.shape, dtype=bool), frame


@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_parity_with_the_signal_power_over_trials_up_to_the_drift_that_is_declared(drift):
    responses = by_trial(5, drift=drift)
    n = len(responses)
    mean, total = responses.mean(0), responses.var(1, ddof=1).mean()
    published = (n * mean.var(ddof=1) - total) / (n - 1)
    declared = responses.mean(1).var() / (n - 1) * len(mean) / (len(mean) - 1)  # `ddof` 1 over frames
    expected = np.sqrt((published - declared) / mean.var(ddof=1))
    np.testing.assert_allclose(columns_of("cc_max", *as_samples(responses)), expected, rtol=1e-9)


# -- however they are cut


@every_metric
@pytest.mark.parametrize("size", [1, 32, 512])
def test_any_batch_size_gives_the_definition(name, size):
    arrays = repeats(1)
    num = len(arrays[0])
    cuts = [np.arange(start, min(start + size, num)) for start in range(0, num, size)]
    found = columns_of(name, *arrays, cuts=cuts, **NO_THRESHOLD.get(name, {}))
    np.testing.assert_allclose(found, defined(name, *arrays), rtol=0, atol=1e-6)


@every_metric
@pytest.mark.parametrize("shards", [2, 4])
def test_contiguous_and_strided_shares_merge_in_any_order(name, shards):
    arrays = repeats(2)
    rows, options = np.arange(len(arrays[0])), NO_THRESHOLD.get(name, {})
    expected = defined(name, *arrays)
    for cuts in (np.array_split(rows, shards), [rows[rank::shards] for rank in range(shards)]):
        for order in itertools.islice(itertools.permutations(cuts), 4):
            np.testing.assert_allclose(
                columns_of(name, *arrays, cuts=list(order), **options), expected, rtol=0, atol=1e-9
            )


@every_metric
def test_the_state_grows_with_units_and_frames_of_the_clip_never_with_samples(name):
    metric = build(name, 4, 40)
    sizes = set()
    for num_repeats in (2, 30):
        (state,) = accumulate(metric, arrays := repeats(num_repeats=num_repeats), [np.arange(len(arrays[0]))])
        sizes.add(sum(value.numel() for value in state.values()))
        assert all(value.shape == (40, 4) for value in state.values())
        assert all(value.dtype == torch.float64 for value in state.values())
    assert len(sizes) == 1


@settings(deadline=None, max_examples=30)
@given(
    name=st.sampled_from(METRICS),
    seed=st.integers(0, 2**16),
    bad=st.sampled_from([float("nan"), float("inf"), 1e9, -1e9]),
)
def test_l1_values_under_a_false_mask_change_no_bit(name, seed, bad):
    x, y, mask, frame = repeats(seed, num_frames=6, num_repeats=4)
    metric, cut = build(name, 4, 6), [np.arange(len(x))]
    (clean,) = accumulate(metric, (x, y, mask, frame), cut)
    hide = lambda values: np.where(mask, values, np.float32(bad))
    (dirty,) = accumulate(metric, (hide(x), hide(y), mask, frame), cut)
    assert all(torch.equal(clean[key], dirty[key]) for key in clean)


# -- what is perfect, and what cannot be scored


@pytest.fixture(scope="module")
def perfect():
    """A perfect Poisson model: its rates are the truth."""
    draw = np.random.default_rng(11)
    rates = draw.gamma(1.0, 3.0, (500, 6))
    frame = np.tile(np.arange(500), 60)
    y = draw.poisson(rates[frame]).astype(np.float32)
    return rates[frame].astype(np.float32), y, np.ones(y.shape, dtype=bool), frame


def test_a_perfect_poisson_model_explains_all_that_can_be(perfect):
    feve = columns_of("feve", *perfect)
    assert np.abs(feve - 1).max() < 0.01
    norm = columns_of("cc_norm", *perfect)
    assert np.abs(norm - 1).max() < 0.01
    # the oracle is below the true ceiling of single trials, and near it with 60 repeats
    ceiling = [np.corrcoef(perfect[0][:, unit], perfect[1][:, unit])[0, 1] for unit in range(6)]
    oracle = columns_of("oracle", *perfect)
    assert (oracle < ceiling).all()
    np.testing.assert_allclose(oracle, ceiling, rtol=0, atol=0.02)


def test_noise_silent_and_never_valid_units_are_nan_and_counted_never_zero_or_huge():
    draw = np.random.default_rng(4)
    frame = np.tile(np.arange(600), 20)
    rates = np.repeat(draw.gamma(1.0, 2.0, (600, 1)), 4, axis=1)
    y = draw.poisson(rates[frame]).astype(np.float32)
    y[:, 1] = draw.poisson(2.0, len(frame))  # the same rate whatever is shown
    y[:, 2] = 0.0
    mask = np.ones(y.shape, dtype=bool)
    mask[:, 3] = False
    arrays = (rates[frame].astype(np.float32), y, mask, frame)
    for name in ("feve", "cc_norm"):
        result = result_of(name, *arrays)
        assert np.isnan(result.columns["m1_a"]).tolist() == [False, True, True, True], name
        assert result.scalars[f"{name}_scored"] == 1
        assert 0.5 < result.scalars[name] < 1.5
    for name in ("oracle", "cc_abs", "cc_max"):
        values = columns_of(name, *arrays)
        assert np.isnan(values[2:]).all()
        assert np.nanmax(np.abs(values)) <= 1


def test_thresholds_choose_who_is_scored_and_the_mean_fev_is_of_all():
    arrays = repeats(8, num_frames=200, num_repeats=12, valid=1.0)
    everyone = result_of("feve", *arrays, min_fev=0.0)
    responses = [lists(*arrays, unit)[1] for unit in range(4)]
    noise = [np.mean([np.var(one, ddof=1) for one in own]) for own in responses]
    fev = 1 - noise / np.array([np.var(np.concatenate(own), ddof=1) for own in responses])
    assert everyone.scalars["fev"] == pytest.approx(fev.mean(), abs=1e-9)
    cut = float(np.sort(fev)[1:3].mean())
    some = result_of("feve", *arrays, min_fev=cut)
    np.testing.assert_array_equal(np.isnan(some.columns["m1_a"]), fev < cut)
    assert some.scalars["fev"] == pytest.approx(fev.mean(), abs=1e-9)
    assert some.scalars["feve_scored"] == 2


@every_metric
def test_frames_that_are_shown_once_and_samples_that_are_no_repeat_change_nothing(name):
    x, y, mask, frame = repeats(6, extra=0)
    more = lambda values, row: np.concatenate([values, np.full((2, *values.shape[1:]), row, values.dtype)])
    with_once = (more(x, 50), more(y, 99), more(mask, True), np.concatenate([frame, [frame.max() + 1, -1]]))
    options = NO_THRESHOLD.get(name, {})
    np.testing.assert_array_equal(
        columns_of(name, *with_once, **options), columns_of(name, x, y, mask, frame, **options)
    )


@every_metric
def test_recordings_without_repeats_are_nan_and_none_with_repeats_is_refused(name):
    plain = recording("m2_b", 2)
    metric = choice("metric", name).build(MetricFacts((spec(3, 5), plain)))
    result = metric.compute({"m1_a": metric.state(spec(3, 5)), "m2_b": metric.state(plain)})
    assert np.isnan(result.columns["m2_b"]).all()
    assert result.scalars[f"{name}_scored"] == 0
    with pytest.raises(ConfigError, match=f"no recording repeats a clip, which {name!r} needs"):
        choice("metric", name).build(MetricFacts((plain,)))


@every_metric
def test_everything_logged_is_declared(name):
    result = result_of(name, *repeats())
    declared = next(component.logs for component in COMPONENTS["metric"] if component.name == name)
    assert {key.split("/")[0] for key in result.scalars} == set(declared)


def test_bits_per_spike_keeps_four_sums_per_unit_and_declares_its_null():
    from visioncore_neural.metrics.bits_per_spike import BitsPerSpike

    state = choice("metric", "bits_per_spike").build(MetricFacts((spec(4, 40),))).state(spec(4, 40))
    assert {key: tuple(value.shape) for key, value in state.items()} == dict.fromkeys(state, (4,))
    assert len(state) == 4
    assert "the null is the mean over the values that are scored" in BitsPerSpike.__doc__
