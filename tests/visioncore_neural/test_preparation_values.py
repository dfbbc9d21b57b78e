"""Preparations of values and of time against closed forms; blind to other splits, and never across an edge."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from neural_recordings import choice, dataset, make

from visioncore_engine.contracts import PreparationFacts
from visioncore_engine.errors import DataError

EVERYTHING = slice(None)
IN_TIME = {
    "difference": {},
    "smooth causal": {"sigma_ms": 25.0, "causal": True},
    "smooth acausal": {"sigma_ms": 25.0, "causal": False},
    "velocity": {"of": "behavior"},
    "temporal_basis causal": {"kernel_size": 9, "num_cosines": 3, "peaks_ms": [5.0, 60.0]},
    "temporal_basis acausal": {"kernel_size": 9, "num_cosines": 3, "peaks_ms": [5.0, 60.0], "acausal": True},
}


def build(name, **options):
    return choice("preparation", name, **options).build(PreparationFacts(group="m1_a"))


def prepared(recording, name, **options):
    preparation = build(name, **options)
    train = (np.asarray(recording.split) == 0) & recording.valid_frames()
    return preparation.apply(recording, preparation.fit(recording, train))


def in_time(recording, case):
    return prepared(recording, case.split()[0], **IN_TIME[case])


def segments(recording):
    """Runs of frames of one trial and split, as a person would find them."""
    keys = list(zip(np.asarray(recording.trial).tolist(), np.asarray(recording.split).tolist(), strict=True))
    bounds = [0, *(t for t in range(1, len(keys)) if keys[t] != keys[t - 1]), len(keys)]
    return [range(a, b) for a, b in pairwise(bounds)]


def with_inner_edge(**changes):
    split = np.repeat([0, 1, 0, 2, 0, 1], 40)
    split[20:40] = 1  # inside a trial
    return make(split=split, **changes)


@pytest.mark.parametrize("case", IN_TIME)
def test_a26_nothing_that_mixes_frames_crosses_a_trial_or_split(case):
    recording = with_inner_edge()
    clean = in_time(recording, case).values("behavior", EVERYTHING)
    for poison in (np.nan, 1e9):
        for own in segments(recording):
            behavior = np.full((240, 2), poison, dtype=np.float32)
            behavior[own] = recording.behavior[own]
            found = in_time(with_inner_edge(behavior=behavior), case).values("behavior", EVERYTHING)
            np.testing.assert_array_equal(found[own], clean[own])


@pytest.mark.parametrize("case", IN_TIME)
def test_a26_a_frame_sees_later_ones_only_where_that_was_said(case):
    recording = with_inner_edge()
    clean = in_time(recording, case).values("behavior", EVERYTHING)
    behavior = recording.behavior.copy()
    behavior[10:20] += 5.0
    before = in_time(with_inner_edge(behavior=behavior), case).values("behavior", EVERYTHING)[:10]
    assert np.array_equal(before, clean[:10]) == ("acausal" not in case)


@pytest.mark.parametrize("case", IN_TIME)
def test_a_missing_frame_takes_away_the_frames_that_need_it_and_no_other(case):
    recording = make(valid=np.ones(240, bool))
    valid, behavior = recording.valid.copy(), recording.behavior.copy()
    behavior[100], valid[100] = np.nan, False
    found = in_time(make(valid=valid, behavior=behavior), case)
    lost = np.flatnonzero(~np.asarray(found.valid))
    expected = {
        "difference": [100, 101],
        "velocity": [100, 101],
        "smooth causal": [100],
        "smooth acausal": [100],
        "temporal_basis causal": list(range(100, 109)),
        "temporal_basis acausal": list(range(91, 109)),
    }[case]
    if "basis" in case:  # weights at the ends of a cosine may be 0
        assert set(lost) <= set(expected)
        assert {100, 101} <= set(lost)
    else:
        assert lost.tolist() == expected
    clean = in_time(recording, case).values("behavior", EVERYTHING)
    far = np.setdiff1d(np.arange(240), range(75, 125))
    np.testing.assert_array_equal(found.values("behavior", EVERYTHING)[far], clean[far])
    dataset(found, side=["behavior"])  # which refuses values that are not finite where responses count


@pytest.mark.parametrize("case", [*IN_TIME, "whitening", "max_norm", "symlog"])
def test_how_a_recording_is_cut_for_reading_does_not_show(case, monkeypatch):
    options = IN_TIME.get(case, {})
    whole = prepared(with_inner_edge(), case.split()[0], **options)
    monkeypatch.setattr("visioncore_neural.recording._CHUNK", 7)
    cut = prepared(with_inner_edge(), case.split()[0], **options)
    for key in ("stim", "behavior"):
        np.testing.assert_array_equal(cut.values(key, EVERYTHING), whole.values(key, EVERYTHING))


def test_difference_is_the_change_since_the_frame_before():
    recording = with_inner_edge()
    found = prepared(recording, "difference", of="stim").values("stim", EVERYTHING)
    expected = np.zeros(recording.stim.shape)
    for own in segments(recording):
        expected[own[1:]] = np.diff(recording.stim[own].astype(float), axis=0)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("causal", [True, False])
def test_smooth_is_a_mean_under_a_gaussian_of_the_frames_that_exist(causal):
    behavior = make().behavior.copy()
    behavior[[5, 50, 51]] = np.nan
    recording = with_inner_edge(behavior=behavior, dt=0.01)
    found = prepared(recording, "smooth", sigma_ms=25.0, causal=causal, reach=3.0).values("behavior", EVERYTHING)
    for own in segments(recording):
        for t in own:
            near = [s for s in own if abs(t - s) <= 7 and (s <= t or not causal) and np.isfinite(behavior[s]).all()]
            weights = np.exp(-0.5 * (np.subtract(near, t) / 2.5) ** 2)
            mean = (weights[:, None] * behavior[near]).sum(0) / weights.sum()
            np.testing.assert_allclose(found[t], mean if np.isfinite(behavior[t]).all() else np.nan, atol=1e-6)


def test_smoothing_leaves_a_constant_as_it_is_up_to_the_edges():
    constant = make(behavior=np.full((240, 2), 3.5, np.float32))
    for causal in (True, False):
        found = prepared(constant, "smooth", sigma_ms=40.0, causal=causal)
        np.testing.assert_allclose(found.behavior, 3.5, rtol=1e-6)


@pytest.mark.parametrize("acausal", [False, True])
def test_a27_a_basis_of_side_inputs_is_measured_in_milliseconds_and_answers_an_impulse_with_itself(acausal):
    for dt in (0.01, 0.005):
        behavior = np.zeros((240, 2), np.float32)
        behavior[60, 0] = 1.0  # in the middle of a trial
        recording = make(behavior=behavior, dt=dt)
        found = prepared(
            recording,
            "temporal_basis",
            kernel_size=20,
            num_cosines=2,
            peaks_ms=[20.0, 60.0],
            spacing="linear",
            normalize="none",
            acausal=acausal,
        )
        lag = (np.arange(20) + 0.5) * dt * 1000
        for function, peak in enumerate((20.0, 60.0)):
            expected = (1 + np.cos(np.clip(np.pi * (lag - peak) / 80.0, -np.pi, np.pi))) / 2
            past = found.behavior[:, found.behavior_names.index(f"running_past_{function}")]
            np.testing.assert_allclose(past[60:80], expected, atol=1e-6)
            assert not past[:60].any()
            if acausal:
                future = found.behavior[:, found.behavior_names.index(f"running_future_{function}")]
                np.testing.assert_allclose(future[40:60], expected[::-1], atol=1e-6)
                assert not future[60:].any()
        assert len(found.behavior_names) == (8 if acausal else 4)
        assert not found.behavior[:, [name.startswith("pupil") for name in found.behavior_names]].any()


def test_a_basis_of_the_eye_position_is_added_to_behavior():
    options = {"kernel_size": 3, "num_cosines": 0, "num_deltas": 2, "of": "eyepos", "channels": "*_vertical"}
    found = prepared(make(), "temporal_basis", **options)
    assert found.behavior_names == ("running", "pupil", "eye_vertical_past_0", "eye_vertical_past_1")
    np.testing.assert_array_equal(found.behavior[:, 2], make().eyepos[:, 1])
    np.testing.assert_array_equal(found.behavior[1:40, 3], make().eyepos[:39, 1])
    bare = prepared(make(behavior=None, behavior_names=()), "temporal_basis", **options)
    np.testing.assert_array_equal(bare.behavior, found.behavior[:, 2:])


def test_symlog_and_split_relu_are_what_they_say():
    recording = make().rescaled("behavior", 40.0, -1.0)
    values = recording.values("behavior", EVERYTHING).astype(float)
    found = prepared(recording, "symlog", channels="pupil").values("behavior", EVERYTHING)
    np.testing.assert_allclose(found[:, 1], np.sign(values[:, 1]) * np.log1p(np.abs(values[:, 1])), rtol=1e-6)
    np.testing.assert_allclose(found[:, 0], values[:, 0], rtol=1e-6)
    split = prepared(recording, "split_relu", channels="running")
    assert split.behavior_names == ("pupil", "running_positive", "running_negative")
    np.testing.assert_allclose(split.behavior[:, 1] - split.behavior[:, 2], values[:, 0], rtol=1e-6)
    assert (split.behavior[:, 1:] >= 0).all()
    assert not (split.behavior[:, 1] * split.behavior[:, 2]).any()


@pytest.mark.parametrize("poison", [np.nan, 1e9])
def test_a26_max_norm_sees_training_frames_only(poison):
    recording = make()
    train = (recording.split == 0) & recording.valid_frames()
    behavior = recording.behavior.copy()
    behavior[~train] = poison
    fitted = build("max_norm").fit(make(behavior=behavior), train)
    assert fitted == build("max_norm").fit(recording, train)
    found = build("max_norm").apply(recording, fitted).values("behavior", EVERYTHING)
    np.testing.assert_allclose(np.abs(found[train]).max(0), 1.0, rtol=1e-6)
    np.testing.assert_allclose(found, recording.behavior / np.abs(recording.behavior[train]).max(0), rtol=1e-5)


def test_a26_a_jump_at_a_trial_edge_does_not_set_the_scale():
    behavior = np.repeat(np.arange(6) * 1000.0, 40)[:, None] + np.sin(np.arange(240))[:, None]
    recording = make(behavior=behavior.astype(np.float32), behavior_names=("position",))
    prepare = [choice("preparation", "difference"), choice("preparation", "max_norm")]
    found = dataset(recording, prepare=prepare).state()["m1_a"]["max_norm"]["max"]
    assert 0.9 < found[0] < 1.0  # the largest change of a sine is 1, that at an edge 1000


def test_max_norm_of_silence_and_unknown_channels_are_refused():
    silent = make(behavior=np.zeros((240, 2), np.float32))
    with pytest.raises(DataError, match=r"behavior: is 0 in all training frames.*channel 0"):
        prepared(silent, "max_norm")
    with pytest.raises(DataError, match=r"channels: matches no channel of behavior; there are running.*'runing'"):
        prepared(make(), "symlog", channels="runing")


def test_whitening_multiplies_spatial_frequencies_and_leaves_frames_alone():
    rng = np.random.default_rng(0)
    recording = make(stim=rng.normal(5.0, 2.0, (240, 2, 6, 7)).astype(np.float32))
    found = prepared(recording, "whitening", f_0=0.3, n=3.0).values("stim", EVERYTHING)
    frame = recording.stim[17, 1].astype(float)
    y, x = np.arange(6), np.arange(7)
    expected = np.zeros((6, 7))
    for v in range(6):  # sums of cosines, term by term
        for u in range(7):
            f = np.hypot(min(v, 6 - v) / 6, min(u, 7 - u) / 7)
            wave = np.exp(2j * np.pi * (v * y[:, None] / 6 + u * x / 7))
            expected += (f * np.exp(-((f / 0.3) ** 3)) * (frame * wave.conj()).sum() * wave).real / 42
    np.testing.assert_allclose(found[17, 1], expected, atol=1e-5)
    np.testing.assert_allclose(found.mean((2, 3)), 0, atol=1e-6)
    with pytest.raises(DataError, match="single pixel"):
        prepared(make(stim=np.zeros((240, 1, 1, 1), np.uint8)), "whitening")


def test_the_behavior_of_visioncore_is_a_chain_of_preparations():
    prepare = [
        choice("preparation", "velocity"),
        choice("preparation", "max_norm", channels="*_velocity"),
        choice("preparation", "symlog", channels="*_velocity"),
        choice("preparation", "temporal_basis", kernel_size=12, num_cosines=5, peaks_ms=[5.0, 90.0], acausal=True),
        choice("preparation", "split_relu"),
    ]
    opened = dataset(make(behavior=None, behavior_names=()), prepare=prepare, side=["behavior", "eyepos"])
    assert opened.groups[0].side == {"behavior": 40, "eyepos": 2}  # 2 axes x 10 functions x 2 signs, and the gaze


def test_the_state_of_a_checkpoint_prepares_other_recordings_alike():
    prepare = [
        choice("preparation", "whitening"),
        choice("preparation", "standardize"),
        choice("preparation", "max_norm"),
        choice("preparation", "smooth", sigma_ms=15.0, causal=True),
        choice("preparation", "downsample", factor=2),
        choice("preparation", "select_units", ids={"m1_a": ["u1"]}),
    ]
    state = json.loads(json.dumps(dataset(make(), prepare=prepare).state()))
    other = make(seed=3)
    fitted, known = (dataset(other, prepare=prepare, state=one).sources("validation", 2)[0] for one in (None, state))
    groups = [source.gather(np.arange(source.num_items)) for source in (fitted, known)]
    assert not groups[0].inputs.allclose(groups[1].inputs)
    ratio = groups[0].side["behavior"] / groups[1].side["behavior"]
    expected = np.divide(
        state["m1_a"]["max_norm"]["max"], dataset(other, prepare=prepare).state()["m1_a"]["max_norm"]["max"]
    )
    needed = groups[0].side["behavior"] != 0
    np.testing.assert_allclose(ratio[needed], np.broadcast_to(expected, ratio.shape)[needed], rtol=1e-4)
