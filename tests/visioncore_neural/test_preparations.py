"""Preparations: fitted on valid training frames, blind to everything else, and never across an edge."""

from __future__ import annotations

import numpy as np
import pytest
from neural_recordings import choice, dataset, make

from visioncore_engine.contracts import DatasetFacts, PreparationFacts
from visioncore_engine.errors import DataError
from visioncore_neural.data.dataset import RecordingsDataset
from visioncore_neural.options.dataset import RecordingsOptions, SplitOptions


def build(name, **options):
    return choice("preparation", name, **options).build(PreparationFacts(group="m1_a"))


def train_of(recording):
    return (recording.split == 0) & recording.valid_frames()


def test_pixel_norm_is_the_affine_map_it_says_and_copies_nothing():
    recording = make()
    norm = build("pixel_norm")
    prepared = norm.apply(recording, norm.fit(recording, train_of(recording)))
    assert prepared.stim is recording.stim
    np.testing.assert_allclose(prepared.values("stim", slice(None)), (recording.stim - 127.0) / 255.0, atol=1e-7)
    other = build("pixel_norm", center=0.0, range=128.0)
    prepared = other.apply(recording, other.fit(recording, train_of(recording)))
    np.testing.assert_allclose(prepared.values("stim", slice(None)), recording.stim / 128.0, atol=1e-7)


def test_standardize_gives_mean_zero_and_deviation_one_over_the_training_frames():
    rng = np.random.default_rng(0)
    recording = make(stim=rng.normal([[[[5.0]], [[-80.0]]]], [[[[2.0]], [[9.0]]]], (240, 2, 4, 5)))
    standardize = build("standardize", of=["stim", "behavior"])
    train = train_of(recording)
    prepared = standardize.apply(recording, standardize.fit(recording, train))
    for key, axes in (("stim", (0, 2, 3)), ("behavior", (0,))):
        values = prepared.values(key, slice(None))[train].astype(float)
        np.testing.assert_allclose(values.mean(axes), 0, atol=1e-6)
        np.testing.assert_allclose(values.std(axes), 1, rtol=1e-6)


@pytest.mark.parametrize("poison", [np.nan, 1e9])
def test_a26_l1_l9_statistics_see_valid_training_frames_only(poison):
    recording = make(behavior=np.random.default_rng(1).standard_normal((240, 2)))
    train = train_of(recording)
    stim, behavior = recording.stim.astype(float), recording.behavior.copy()
    stim[~train], behavior[~train] = poison, poison
    standardize = build("standardize", of=["stim", "behavior"])
    assert standardize.fit(make(stim=stim, behavior=behavior), train) == standardize.fit(recording, train)


def test_a_few_values_that_are_not_finite_count_for_nothing():
    recording = make(behavior=np.random.default_rng(1).standard_normal((240, 2)))
    train = train_of(recording)
    behavior = recording.behavior.copy()
    hidden = np.flatnonzero(train)[::7]
    behavior[hidden, 0] = np.nan
    state = build("standardize", of=["behavior"]).fit(make(behavior=behavior), train)["behavior"]
    kept = np.setdiff1d(np.flatnonzero(train), hidden)
    np.testing.assert_allclose(state["mean"], [behavior[kept, 0].mean(), behavior[train, 1].mean()], rtol=1e-6)
    np.testing.assert_allclose(state["std"], [behavior[kept, 0].std(), behavior[train, 1].std()], rtol=1e-6)


def test_large_values_do_not_cancel():
    behavior = np.random.default_rng(0).standard_normal((240, 1)) + 1e4
    recording = make(behavior=behavior, behavior_names=("time",))
    train = train_of(recording)
    state = build("standardize", of=["behavior"]).fit(recording, train)["behavior"]
    np.testing.assert_allclose(state["std"], behavior[train].astype(np.float32).std(0, dtype=float), rtol=1e-6)


def test_what_does_not_vary_cannot_be_standardized():
    behavior = np.ones((240, 2))
    with pytest.raises(DataError, match=r"session 'm1_a': behavior: does not vary.*channel 0"):
        build("standardize", of=["behavior"]).fit(make(behavior=behavior), np.ones(240, bool))
    bare = make(eyepos=None)
    with pytest.raises(DataError, match="no such array"):
        build("standardize", of=["eyepos"]).fit(bare, np.ones(240, bool))


def test_a26_velocity_does_not_cross_trials_or_splits():
    split = np.repeat([0, 1, 0, 2, 0, 1], 40)
    split[20:40] = 1  # an edge inside a trial
    recording = make(split=split, behavior=None, behavior_names=())
    velocity = build("velocity")
    prepared = velocity.apply(recording, velocity.fit(recording, train_of(recording)))
    expected = np.zeros((240, 2))
    for t in range(1, 240):
        if recording.trial[t] == recording.trial[t - 1] and split[t] == split[t - 1]:
            expected[t] = (recording.eyepos[t] - recording.eyepos[t - 1]) / 0.01
    np.testing.assert_allclose(prepared.behavior, expected, rtol=1e-5, atol=1e-4)
    assert prepared.behavior_names == ("eye_horizontal_velocity", "eye_vertical_velocity")


def test_a26_velocity_respects_a_split_that_was_drawn():
    bare = make(frames=4000, split=None, trial=np.zeros(4000, int), behavior=None, behavior_names=())
    blocks = SplitOptions(by="blocks", block=0.5)
    opened = RecordingsDataset(
        [bare],
        RecordingsOptions(prepare=(choice("preparation", "velocity"),)),
        DatasetFacts(seed=0),
        split=blocks,
    )
    recording = opened.sources("train", 0)[0].recording
    edges = np.flatnonzero(np.diff(np.asarray(recording.split))) + 1
    assert len(edges) > 1
    assert not recording.behavior[edges].any()
    assert recording.behavior[edges + 1].all()


def test_velocity_is_added_beside_behavior_as_it_was_prepared():
    recording = make().rescaled("behavior", 3.0, 1.0)
    velocity = build("velocity", of="behavior")
    prepared = velocity.apply(recording, {})
    np.testing.assert_allclose(prepared.behavior[:, :2], recording.behavior * 3 + 1, rtol=1e-6)
    assert prepared.behavior_names == ("running", "pupil", "running_velocity", "pupil_velocity")
    np.testing.assert_array_equal(prepared.values("behavior", slice(5)), prepared.behavior[:5])


def test_preparations_run_in_order_and_their_state_is_plain():
    import json

    prepare = [choice("preparation", "velocity"), choice("preparation", "standardize", of=["stim", "behavior"])]
    bare = make(behavior=None, behavior_names=())
    opened = dataset(bare, prepare=prepare)
    assert opened.groups[0].side == {"behavior": 2}
    state = opened.state()
    assert list(state["m1_a"]) == ["velocity", "standardize"]
    assert json.loads(json.dumps(state)) == state
    source = opened.sources("train", 3)[0]
    group = source.gather(np.arange(source.num_items))
    newest = group.inputs[:, 0, -1].numpy()
    expected = (bare.stim[group.tags["frame"][:, 0].numpy(), 0] - state["m1_a"]["standardize"]["stim"]["mean"][0]) / (
        state["m1_a"]["standardize"]["stim"]["std"][0]
    )
    np.testing.assert_allclose(newest, expected, rtol=1e-4, atol=1e-5)
