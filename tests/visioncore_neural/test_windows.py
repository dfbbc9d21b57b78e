"""Windows: every usable frame once, all of its history, nothing that it does not need. T frames, L predictions."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_recordings import choice, dataset, make
from roads import ROADS, road

from visioncore_engine.errors import ConfigError, DataError
from visioncore_neural.data.folder import read_session, write_session
from visioncore_neural.data.windows import find_stretches, needed_frames, predictable_frames, tile
from visioncore_neural.recording import SPLITS

# ---------------------------------------------------------------------------------------------------------------
# Laws of the arithmetic, against definitions written out frame by frame


@st.composite
def recordings(draw):
    frames = draw(st.integers(1, 60))

    def runs(values):
        parts = draw(st.lists(st.tuples(values, st.integers(1, 15)), min_size=1, max_size=8))
        return np.resize(np.repeat([value for value, _ in parts], [length for _, length in parts]), frames)

    trial, split = runs(st.integers(-1, 3)), runs(st.integers(-1, 3))
    chance = np.random.default_rng(draw(st.integers(0, 2**16)))
    return trial, split, chance.random(frames) < 0.1, chance.random(frames) < 0.8


def is_predictable(t, history, trial, split, missing):
    if t < history or trial[t] < 0 or split[t] < 0:
        return False
    past = range(t - history, t + 1)
    return all(trial[s] == trial[t] and split[s] == split[t] and not missing[s] for s in past)


@settings(max_examples=150, deadline=None)
@given(recordings(), st.integers(0, 7), st.integers(1, 9))
def test_every_usable_frame_is_predicted_exactly_once_and_has_its_history(recording, history, length):
    trial, split, missing, valid = recording
    frames = range(len(trial))
    stretches = find_stretches(trial, split)
    predictable = predictable_frames(stretches, missing, history)
    expected = [is_predictable(t, history, trial, split, missing) for t in frames]
    np.testing.assert_array_equal(predictable, expected)
    for value in SPLITS.values():
        chosen = stretches.split == value
        mine = type(stretches)(stretches.start[chosen], stretches.stop[chosen], stretches.split[chosen])
        usable = predictable & valid
        windows = tile(mine, usable, history, length)
        seen = np.zeros(len(trial), int)
        for first, count, weight in zip(windows.first, windows.count, windows.weight, strict=True):
            assert first - history >= 0  # A28b: no index can wrap to the end of the recording
            assert 1 <= count <= length
            assert first + count <= len(trial)
            assert len(set(split[first - history : first + count])) == 1
            assert weight == usable[first : first + count].sum() > 0
            seen[first : first + count] += 1
        np.testing.assert_array_equal(seen[usable & (split == value)], 1)
        assert seen.max(initial=0) <= 1
        assert not seen[split != value].any()


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 9), st.integers(0, 6), st.integers(0, 2**16))
def test_a_frame_is_needed_when_some_prediction_that_counts_reaches_it(length, history, seed):
    predicted = np.random.default_rng(seed).random((5, length)) < 0.4
    expected = np.zeros((5, history + length), bool)
    for b, t in np.argwhere(predicted):
        expected[b, t : t + history + 1] = True
    np.testing.assert_array_equal(needed_frames(predicted, history), expected)


# ---------------------------------------------------------------------------------------------------------------
# The gather, against one that reads sample by sample


def reference(recording, split, trial, history, predict):
    """Inputs and targets of each prediction, by their definition."""
    values = recording.values("stim", slice(None))
    return {
        t: (values[t - history : t + 1], recording.robs[t])
        for t in range(recording.num_frames)
        if is_predictable(t, history, trial, split, np.zeros(recording.num_frames, bool)) and split[t] == predict
    }


@pytest.mark.parametrize("length", [1, 7, 64])
@pytest.mark.parametrize("history", [0, 5])
def test_gather_reads_what_a_reader_of_single_samples_reads(history, length):
    recording = make()
    source = dataset(recording, window={"length": length}).sources("train", history)[0]
    group = source.gather(np.random.default_rng(0).permutation(source.num_items))
    expected = reference(recording, recording.split, recording.trial, history, SPLITS["train"])
    assert group.inputs.shape == (source.num_items, 1, history + length, 4, 5)
    assert group.inputs.dtype == group.targets["robs"].dtype == torch.float32
    assert group.mask.shape == (source.num_items, length, 1)
    frames = group.tags["frame"].numpy()
    assert sorted(frames[group.mask[..., 0].numpy()]) == [t for t in expected if recording.valid[t]]
    for b, k in np.argwhere(group.mask[..., 0].numpy()):
        stim, robs = expected[frames[b, k]]
        np.testing.assert_array_equal(group.inputs[b, 0, k : k + history + 1], stim[:, 0])
        np.testing.assert_array_equal(group.targets["robs"][b, k], robs)
        np.testing.assert_array_equal(
            group.side["behavior"][b, k : k + history + 1],
            recording.behavior[frames[b, k] - history : frames[b, k] + 1],
        )


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from(["uint8", "int8", "int16", "float16", "uint16", "int32", "float32"]),
    channels=st.integers(1, 3),
    per_channel=st.booleans(),
    length=st.sampled_from([1, 5]),
    seed=st.integers(0, 2**16),
)
def test_stored_inputs_stand_for_the_values_bit_for_bit(dtype, channels, per_channel, length, seed):
    chance = np.random.default_rng(seed)
    stim = (chance.normal(size=(240, channels, 4, 5)) * 90 + 60).astype(dtype)
    recording = make(stim=stim).rescaled(
        "stim", *(chance.normal(size=(channels, 1, 1) if per_channel else ()) for _ in range(2))
    )
    source = dataset(recording, window={"length": length}).sources("train", 3)[0]
    items = chance.permutation(source.num_items)
    stored, group = source.stored(items), source.gather(items)
    compact = np.dtype(dtype).itemsize < 4 and dtype != "uint16"
    assert stored.inputs.dtype == (getattr(torch, dtype) if compact else torch.float32)
    assert (stored.encoding is not None) == compact
    assert stored.to("cpu").encoding is stored.decoded().encoding is group.encoding is None
    for values in (stored.to("cpu").inputs, stored.decoded().inputs):
        assert values.dtype == torch.float32
        assert torch.equal(values, group.inputs)
    # The definition, in NumPy: cast, scale, shift, and zero where no valid prediction reaches.
    frames, mask = group.tags["frame"].numpy(), group.mask.any(-1).numpy()
    start = source.windows.first[items][:, None] + np.arange(-3, length)
    needed = needed_frames(mask, 3)
    values = recording.values("stim", np.where(needed, start, 0)) * needed[..., None, None, None]
    np.testing.assert_array_equal(group.inputs.transpose(1, 2).numpy(), values)
    assert torch.equal(stored.to("cpu", torch.float64).inputs, group.inputs.double())
    assert (frames[mask] >= 0).all()


def test_a20_newest_first_time_axis():
    """The last input frame of a window is the newest; the input of a prediction ends at its own frame."""
    stim = np.broadcast_to(np.arange(240, dtype=np.float32)[:, None, None, None], (240, 1, 2, 2))
    group = dataset(make(stim=stim, valid=np.ones(240, bool))).sources("train", 4)[0].gather(np.arange(5))
    newest = group.inputs[:, 0, -1, 0, 0].numpy()
    np.testing.assert_array_equal(newest, group.tags["frame"][:, 0])
    assert (np.diff(group.inputs[:, 0, :, 0, 0].numpy(), axis=1) == 1).all()


def test_a28b_history_crosses_neither_trial_nor_split_edges():
    """A28b, L9: what a validation frame sees is never seen in training, and the other way round."""
    trial = np.repeat([0, 1, 2], 80)
    split = np.repeat([0, 1, 1, 0, 0, 2], 40)  # edges inside trials as well
    stim = np.broadcast_to(np.arange(1, 241, dtype=np.float32)[:, None, None, None], (240, 1, 1, 1))
    opened = dataset(make(stim=stim, trial=trial, split=split, valid=np.ones(240, bool)), window={"length": 9})
    seen = {}
    for name in ("train", "validation", "test"):
        source = opened.sources(name, 6)[0]
        shown = source.gather(np.arange(source.num_items)).inputs.unique().numpy()
        seen[name] = set(shown[shown > 0].astype(int) - 1)
        assert {split[t] for t in seen[name]} == {SPLITS[name]}
    assert not seen["train"] & seen["validation"]
    assert opened.summary().rows[0]["no_history"] == 5 * 6 + 6


@pytest.mark.parametrize("poison", [np.nan, 1e9])
@pytest.mark.parametrize("length", [1, 6, 50])
def test_l1_nothing_under_a_mask_reaches_the_batch(poison, length):
    """L1: frames that no valid prediction needs arrive as zeros, whatever they hold; masked targets too."""
    rng = np.random.default_rng(3)
    stim = rng.standard_normal((240, 1, 3, 3)).astype(np.float32)
    valid = np.repeat(rng.random(24) > 0.4, 10)
    clean = make(stim=stim, valid=valid, robs=rng.poisson(1.0, (240, 3)).astype(np.float32))
    history = 4
    needed = np.zeros(240, bool)
    source = dataset(clean, window={"length": length}).sources("train", history)[0]
    before = source.gather(np.arange(source.num_items))
    for t in before.tags["frame"].numpy()[before.mask[..., 0].numpy()]:
        needed[t - history : t + 1] = True
    dirty_stim, dirty_robs, dirty_behavior = stim.copy(), clean.robs.copy(), clean.behavior.copy()
    dirty_stim[~needed & ~valid] = poison
    dirty_behavior[~needed & ~valid] = poison
    dirty_robs[~valid] = poison
    dirty = make(stim=dirty_stim, valid=valid, robs=dirty_robs, behavior=dirty_behavior)
    again = dataset(dirty, window={"length": length}).sources("train", history)[0]
    after = again.gather(np.arange(again.num_items))
    for one, other in (
        (before.inputs, after.inputs),
        (before.targets["robs"], after.targets["robs"]),
        (before.side["behavior"], after.side["behavior"]),
        (before.mask, after.mask),
    ):
        assert torch.equal(one, other)
    assert again.group.targets["robs"].mean == source.group.targets["robs"].mean


def test_a_frame_that_does_not_exist_is_history_of_nothing():
    stim = np.random.default_rng(0).standard_normal((240, 1, 3, 3)).astype(np.float32)
    valid = np.ones(240, bool)
    valid[10], stim[10] = False, np.nan  # a blink
    opened = dataset(make(stim=stim, valid=valid))
    source = opened.sources("train", 3)[0]
    group = source.gather(np.arange(source.num_items))
    assert torch.isfinite(group.inputs).all()
    predicted = set(group.tags["frame"][group.mask[..., 0]].tolist())
    assert predicted.isdisjoint({10, 11, 12, 13})
    assert {9, 14} <= predicted
    row = opened.summary().rows[0]
    assert row["no_history"] == 6 * 3 + 3
    assert row["train"] + row["validation"] + row["test"] + row["no_history"] + row["invalid"] == 240


@pytest.mark.parametrize("key", ["stim", "behavior"])
def test_d06_a_valid_frame_that_is_not_finite_is_refused(key):
    array = make().array(key).astype(np.float32)
    valid = np.ones(240, bool)
    array[102:105, 0] = np.inf
    with pytest.raises(DataError) as caught:
        dataset(make(**{key: array}, valid=valid))
    assert f"session 'm1_a': {key}" in str(caught.value)
    assert "first at frame 102" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "valid responses are not finite"), (-0.2, "valid responses are negative")]
)
def test_d05_d15_bad_responses_are_refused_with_unit_and_frame(value, message):
    robs = make().robs.astype(np.float32)
    robs[[57, 101], 2] = value
    valid = np.ones(240, bool)
    valid[[57, 101]] = False
    dataset(make(robs=robs, valid=valid))  # under a mask it is nobody's business
    with pytest.raises(DataError) as caught:
        dataset(make(robs=robs, valid=np.ones(240, bool)))
    assert f"2 {message}; first at frame 57, unit 'u2'" in str(caught.value)


def test_masks_per_unit_stay_per_unit():
    valid = np.random.default_rng(0).random((240, 3)) > 0.3
    source = dataset(make(valid=valid), window={"length": 10}).sources("train", 3)[0]
    group = source.gather(np.arange(source.num_items))
    assert group.mask.shape[-1] == 3
    frames = group.tags["frame"].numpy()
    inside = frames >= 0
    allowed = valid[frames] & inside[..., None]
    assert not (group.mask.numpy() & ~allowed).any()
    np.testing.assert_array_equal(source.column_weights()["robs"], group.mask.sum((0, 1)))
    np.testing.assert_array_equal(source.weights(), group.mask.any(-1).sum(1))


def test_a_pass_over_the_windows_weighs_every_valid_frame_once():
    source = dataset(make(), window={"length": 16}).sources("train", 5)[0]
    group = source.gather(np.arange(source.num_items))
    frames = group.tags["frame"][group.mask[..., 0]].tolist()
    assert len(frames) == len(set(frames)) == source.weights().sum()


def test_l9_validation_is_the_same_samples_in_the_same_order():
    """A16."""
    opened = dataset(make(), window={"length": 8})
    one, other = (opened.sources("validation", 4)[0] for _ in range(2))
    items = np.arange(one.num_items)
    assert torch.equal(one.gather(items).tags["frame"], other.gather(items).tags["frame"])
    fresh = dataset(make(), window={"length": 8}).sources("validation", 4)[0]
    assert torch.equal(one.gather(items).tags["frame"], fresh.gather(items).tags["frame"])
    frames = one.frames(items)
    assert (np.diff(frames[frames >= 0]) > 0).all()


@pytest.mark.parametrize("mode", ROADS)
def test_a_session_on_disk_gives_the_batches_of_the_one_in_memory(mode, tmp_path):
    recording = make()
    write_session(recording, tmp_path / "m1_a")
    one = dataset(recording, window={"length": 8}).sources("train", 4)[0]
    other = dataset(read_session(tmp_path / "m1_a"), window={"length": 8}).sources("train", 4)[0]
    other = pickle.loads(pickle.dumps(other))  # a source goes to other processes
    items = np.arange(one.num_items)
    with road(mode):
        for name in ("inputs", "mask", "items"):
            assert torch.equal(getattr(one.gather(items), name), getattr(other.gather(items), name))
        assert torch.equal(one.stored(items).inputs, other.stored(items).inputs)


def test_windows_outside_are_refused():
    source = dataset(make()).sources("train", 0)[0]
    for wrong in (-1, source.num_items):
        with pytest.raises(DataError, match="window numbers lie in"):
            source.gather(np.array([wrong]))
    assert source.gather(np.array([], dtype=np.int64)).inputs.shape[0] == 0


# ---------------------------------------------------------------------------------------------------------------
# Scores


def test_a10_scores_belong_to_their_windows():
    """The score of a window is that of its own last frame, over the session's median, clipped to [0, 1]."""
    recording = make()
    source = dataset(recording, window={"length": 8}).sources("train", 4)[0]
    frames = source.frames(np.arange(source.num_items))
    contrast = recording.stim[frames.max(1)].astype(float).reshape(source.num_items, -1).std(1)
    expected = np.clip(contrast / np.median(contrast), 0, 1)
    np.testing.assert_allclose(source.score("contrast"), expected, rtol=1e-6)
    assert len(source.score("contrast")) == source.num_items


def test_a_score_of_another_name_is_a_key_error():
    with pytest.raises(KeyError, match="contrast"):
        dataset(make()).sources("train", 0)[0].score("novelty")


def test_a11_a_stimulus_without_contrast_is_an_error_not_a_uniform_curriculum():
    source = dataset(make(stim=np.full((240, 1, 4, 4), 9, np.uint8))).sources("train", 0)[0]
    with pytest.raises(DataError, match="has no contrast"):
        source.score("contrast")


# ---------------------------------------------------------------------------------------------------------------
# Datasets


def test_groups_are_described_before_anything_is_read():
    group = dataset(make(), make("m2_a", frames=320, num_units=5)).groups[1]
    assert group.name == "m2_a"
    assert group.labels == {"sessions": "m2_a", "subjects": "m2"}
    assert group.input_shape == (1, 4, 5)
    assert group.side == {"behavior": 2}
    target = group.targets["robs"]
    assert (target.kind, target.size, target.columns, target.ids[0]) == ("counts", 5, "units", "u0")
    recording = make("m2_a", frames=320, num_units=5)
    train = recording.valid & (recording.split == 0)
    np.testing.assert_allclose(target.mean, recording.robs[train].mean(0), rtol=1e-12)


def test_a7_a14_mean_rates_come_from_valid_training_frames_and_nan_means_unknown():
    robs = make().robs.astype(np.float64)
    split = make().split
    robs[split != 0] = 1e6
    valid = np.ones((240, 3), bool)
    valid[:, 1] &= split != 0
    mean = dataset(make(robs=robs, valid=valid)).groups[0].targets["robs"].mean
    np.testing.assert_allclose(mean[0], robs[split == 0, 0].mean())
    assert np.isnan(mean[1])


def test_a29_a31_sessions_are_known_by_name():
    with pytest.raises(DataError, match="two sessions have one name"):
        dataset(make(), make(seed=1))
    one, other = dataset(make(), make("m2_a")), dataset(make("m2_a"), make())
    assert one.fingerprints() == other.fingerprints()
    assert dataset(make(), make("m2_a"), units=["*/u1"]).fingerprints() == one.fingerprints()


def test_d14_sessions_of_another_rate_are_refused():
    with pytest.raises(DataError, match=r"session 'm1_a' has 0\.01 s per frame \(got 0\.02 s\)"):
        dataset(make(), make("m2_a", dt=0.02))


def test_history_is_what_the_model_needs_and_never_less():
    """A28b: validity is derived from the frames that are served."""
    with pytest.raises(ConfigError, match="the model needs 9 frames"):
        dataset(make(), window={"history": 4}).sources("train", 9)
    assert dataset(make(), window={"history": 12}).sources("train", 9)[0].gather(np.arange(2)).inputs.shape[2] == 13


def test_fewer_frames_than_a_window_is_an_error_with_both_numbers():
    with pytest.raises(DataError, match=r"51 frames in a row .* longest run has 40 frames"):
        dataset(make()).sources("train", 50)


def test_no_valid_frames_is_an_error():
    with pytest.raises(DataError, match="no response is valid in any frame"):
        dataset(make(valid=np.zeros(240, bool)))
    with pytest.raises(DataError, match="no valid training frame"):
        dataset(make(split=np.ones(240, np.int8)))


def test_an_unknown_split_names_the_known_ones():
    with pytest.raises(DataError, match="train, validation, test, repeats"):
        dataset(make()).sources("val", 0)


def test_units_are_chosen_by_session_and_id():
    opened = dataset(make(), make("m2_a"), units=["m1_a/u1", "m2_*/u[02]"])
    assert [group.targets["robs"].ids for group in opened.groups] == [("u1",), ("u0", "u2")]
    group = opened.sources("train", 2)[1].gather(np.arange(4))
    frames = group.tags["frame"][:, 0].numpy()
    np.testing.assert_array_equal(group.targets["robs"][:, 0], make("m2_a").robs[frames][:, [0, 2]])
    with pytest.raises(DataError, match=r"matches no unit.*'m1_a/u7'"):
        dataset(make(), units=["m1_a/u7", "*"])
    with pytest.raises(DataError, match="leaves no unit of this session"):
        dataset(make(), make("m2_a"), units=["m1_a/*"])


def test_side_inputs_are_served_where_asked_and_missed_aloud():
    """A23."""
    assert dataset(make(), side=["eyepos", "behavior"]).groups[0].side == {"eyepos": 2, "behavior": 2}
    bare = make("m2_a", behavior=None, behavior_names=())
    assert dataset(make(), bare).groups[0].side == {}
    with pytest.raises(DataError, match=r"session 'm2_a': data.side: the session has no 'behavior'"):
        dataset(make(), bare, side=["behavior"])


def test_max_frames_takes_the_first_windows_only():
    opened = dataset(make(), window={"length": 8}, max_frames=20)
    source, whole = opened.sources("train", 2)[0], dataset(make(), window={"length": 8}).sources("train", 2)[0]
    assert 20 <= source.weights().sum() < 28
    np.testing.assert_array_equal(source.windows.first, whole.windows.first[: source.num_items])


def test_repeats_are_tagged_and_stand_in_one_split():
    repeat = np.full(240, -1)
    repeat[:40] = repeat[200:] = np.arange(40)
    opened = dataset(make(repeat_frame=repeat), window={"length": 16})
    group = opened.sources("train", 3)[0].gather(np.arange(opened.sources("train", 3)[0].num_items))
    frames = group.tags["frame"].numpy()
    np.testing.assert_array_equal(group.tags["repeat_frame"], np.where(frames >= 0, repeat[frames], -1))
    assert opened.groups[0].tags["repeat_frame"] == 40
    repeat[200:], repeat[120:160] = -1, np.arange(40)  # trial 3 validates
    with pytest.raises(DataError, match="repeats of one clip must be in one split; 40 frames are not, first frame 120"):
        dataset(make(repeat_frame=repeat))


# ---------------------------------------------------------------------------------------------------------------
# Splits that are drawn


def drawn(recording, **split):
    from visioncore_neural.data.splits import assign_split
    from visioncore_neural.options.dataset import SplitOptions

    return assign_split(recording, SplitOptions(**split))


def test_a_drawn_split_keeps_trials_whole_and_hits_its_shares():
    recording = make(frames=4000, split=None)
    split = drawn(recording)
    assert all(len(set(split[recording.trial == trial])) == 1 for trial in range(100))
    np.testing.assert_allclose([(split == i).mean() for i in range(3)], [0.8, 0.1, 0.1], atol=0.011)
    np.testing.assert_array_equal(split, drawn(recording))
    assert (split != drawn(recording, seed=1)).any()
    assert (split != drawn(make("m1_b", frames=4000, split=None))).any()


def test_l9_equal_stimuli_stay_together_and_repeats_by_themselves():
    stim = make(frames=4000).stim.copy()
    stim[:400] = np.tile(stim[400:440], (10, 1, 1, 1))
    repeat = np.full(4000, -1)
    repeat[800:1200] = np.tile(np.arange(40), 10)
    stim[800:1200] = np.tile(stim[800:840], (10, 1, 1, 1))
    split = drawn(make(frames=4000, split=None, stim=stim, repeat_frame=repeat))
    assert len(set(split[:440])) == 1
    assert set(split[800:1200]) == {SPLITS["repeats"]}
    assert SPLITS["repeats"] not in split[1200:]


def test_blocks_split_a_recording_without_trials():
    recording = make(frames=4000, split=None, trial=np.zeros(4000, int))
    with pytest.raises(DataError, match=r"split.by: blocks"):
        drawn(recording)
    split = drawn(recording, by="blocks", block=0.5)
    assert all(len(set(block)) == 1 for block in split.reshape(-1, 50))


def test_d10_an_empty_split_is_an_error():
    with pytest.raises(DataError, match="would hold nothing"):
        drawn(make(split=None, trial=np.arange(240) // 80))
    assert not (drawn(make(frames=4000, split=None), fractions=(0.9, 0.1, 0.0)) == 2).any()


def test_the_summary_accounts_for_every_frame():
    row = dataset(make()).summary().rows[0]
    assert row["frames"] == 240
    assert sum(row[name] for name in SPLITS) + row["no_history"] + row["invalid"] == 240


def test_preparation_state_of_a_checkpoint_is_used_instead_of_fitting():
    prepare = [choice("preparation", "standardize")]
    fitted = dataset(make(), prepare=prepare).state()
    fitted["m1_a"]["standardize"]["stim"]["mean"] = [0.0]
    restored = dataset(make(), prepare=prepare, state=fitted)
    assert restored.state() == fitted
    with pytest.raises(DataError, match=r"session 'm2_a'.*no preparation state for it.*m1_a"):
        dataset(make("m2_a"), prepare=prepare, state=fitted)
    with pytest.raises(DataError, match="no preparation state for 'pixel_norm'"):
        dataset(make(), prepare=[*prepare, choice("preparation", "pixel_norm")], state=fitted)
