"""Downsampling: a rule for every array, and no new frame of two trials or splits."""

from __future__ import annotations

import numpy as np
import pytest
from neural_recordings import choice, dataset, make

from visioncore_engine.contracts import PreparationFacts
from visioncore_engine.errors import DataError
from visioncore_neural.data.fingerprint import recording_fingerprint

EVERYTHING = slice(None)


def downsampled(recording, factor=2, **rules):
    preparation = choice("preparation", "downsample", factor=factor, **rules).build(PreparationFacts(group="m1_a"))
    return preparation.apply(recording, {})


def bins(recording, factor):
    """Frames of each new frame, put together one by one."""
    made, trial, split = [], np.asarray(recording.trial), np.asarray(recording.split)
    for t in range(recording.num_frames):
        fresh = t == 0 or trial[t] != trial[t - 1] or split[t] != split[t - 1] or len(made[-1]) == factor
        made.append([t]) if fresh else made[-1].append(t)
    return made


@pytest.mark.parametrize("factor", [2, 3, 7])
def test_a25_new_frames_hold_frames_of_one_trial_and_split_and_numbers_are_not_averaged(factor):
    split = np.repeat([0, 1, 0, 2, 0, 1], 40)
    split[13:40] = 1
    recording = make(split=split, trial=np.repeat([0, 1, -1, 3, 7, 5], 40))
    found, made = downsampled(recording, factor), bins(recording, factor)
    assert found.num_frames == len(made)
    for new, frames in enumerate(made):
        whole = len(frames) == factor
        assert found.trial[new] == (recording.trial[frames[0]] if whole else -1)
        assert found.split[new] == (split[frames[0]] if whole else -1)
        assert bool(found.valid[new]) == (whole and bool(recording.valid[frames].all()))
        if found.valid[new]:
            assert found.robs[new].tolist() == recording.robs[frames].sum(0).tolist()
        np.testing.assert_array_equal(found.stim[new], recording.stim[frames[0]])
        if whole:
            np.testing.assert_allclose(found.behavior[new], recording.behavior[frames].mean(0), atol=1e-6)
    assert found.dt == pytest.approx(factor * recording.dt)


def test_a25_a_half_invalid_frame_does_not_count_unless_that_was_said():
    valid = np.ones(240, bool)
    valid[1::4] = False
    robs = np.full((240, 3), 2, np.uint8)
    robs[~valid] = 200
    recording = make(valid=valid, robs=robs)
    every, some = downsampled(recording), downsampled(recording, valid="any")
    assert every.valid.tolist() == [False, True] * 60
    assert some.valid.all()
    assert some.robs[::2].tolist() == [[2] * 3] * 60  # what does not count is not summed
    assert some.robs[1::2].tolist() == [[4] * 3] * 60


def test_rules_of_inputs_and_rates():
    recording = make(kind="rates", robs=np.random.default_rng(0).random((240, 3)).astype(np.float32))
    recording = recording.rescaled("stim", 0.5, 1.0)
    for rule, of in (("first", 0), ("last", 1)):
        found = downsampled(recording, stim=rule, behavior=rule, eyepos=rule)
        np.testing.assert_array_equal(found.values("stim", EVERYTHING), recording.stim[of::2] * 0.5 + 1.0)
        np.testing.assert_array_equal(found.behavior, recording.behavior[of::2])
        np.testing.assert_array_equal(found.eyepos, recording.eyepos[of::2])
        assert found.stim.dtype == np.uint8
    mean = downsampled(recording, stim="mean")
    pairs = recording.stim.reshape(120, 2, 1, 4, 5).astype(float)
    np.testing.assert_allclose(mean.values("stim", EVERYTHING), pairs.mean(1) * 0.5 + 1.0, rtol=1e-6)
    np.testing.assert_allclose(mean.robs[mean.valid], recording.robs.reshape(120, 2, 3).mean(1)[mean.valid], rtol=1e-6)


def test_how_many_frames_are_made_at_once_does_not_show(monkeypatch):
    whole = downsampled(make(), 3, stim="mean")
    monkeypatch.setattr("visioncore_neural.preparations.downsample._FAST", 5)
    cut = downsampled(make(), 3, stim="mean")
    for key, array in whole.arrays().items():
        np.testing.assert_array_equal(cut.array(key), array)


def test_many_spikes_in_few_bits_are_not_lost():
    found = downsampled(make(robs=np.full((240, 3), 255, np.uint8), valid=np.ones(240, bool)), 4)
    assert (found.robs == 1020).all()


def test_presentations_of_a_clip_stay_aligned_or_are_refused():
    frame, trial = np.full(240, -1), np.full(240, -1)
    frame[80:120], frame[160:200] = np.arange(40), np.arange(40)
    frame[200:240] = 40 + np.arange(40)  # another clip
    trial[80:120], trial[160:200], trial[200:240] = 0, 1, 0
    split = np.repeat([0, 1, 3, 2, 3, 3], 40)
    found = downsampled(make(repeat_frame=frame, repeat_trial=trial, split=split), 3)
    per_trial = 14  # 13 whole ones and what is left over
    assert found.repeat_frame[2 * per_trial : 3 * per_trial].tolist() == [*range(13), -1]
    assert found.repeat_frame[4 * per_trial : 5 * per_trial].tolist() == [*range(13), -1]
    assert found.repeat_frame[5 * per_trial :].tolist() == [*range(13, 26), -1]
    assert found.repeat_trial[4 * per_trial : 5 * per_trial].tolist() == [1] * 13 + [-1]
    frame[160:200] = np.roll(frame[160:200], 1)
    frame[160] = -1
    with pytest.raises(DataError, match=r"repeat_frame: presentations of a clip begin at different frames"):
        downsampled(make(repeat_frame=frame, repeat_trial=trial, split=split), 3)


def test_splits_units_windows_and_fingerprints_follow():
    recording = make(valid=np.ones((240, 3), bool))
    opened = dataset(recording, prepare=[choice("preparation", "downsample", factor=4)], units=["m1_a/u[12]"])
    assert opened.groups[0].dt == pytest.approx(0.04)
    assert opened.groups[0].targets["robs"].ids == ("u1", "u2")
    source = opened.sources("train", 2)[0]
    group = source.gather(np.arange(source.num_items))
    frames = group.tags["frame"][:, 0].numpy()
    trials = recording.trial[4 * frames]
    assert sorted(set(trials.tolist())) == [0, 1, 2, 5]
    summed = recording.robs.reshape(60, 4, 3).sum(1)[frames][:, 1:]
    np.testing.assert_array_equal(group.targets["robs"][:, 0].numpy(), summed)
    np.testing.assert_array_equal(group.inputs[:, 0, -3].numpy(), recording.stim[4 * (frames - 2), 0])
    assert recording_fingerprint(source.recording) != recording_fingerprint(recording)
    assert opened.fingerprints() == dataset(recording).fingerprints()  # of what was read
