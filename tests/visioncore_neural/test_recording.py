"""Recordings: headers that must agree, values that are scaled when they are read, units that are chosen."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from neural_recordings import make

from visioncore_engine.errors import DataError
from visioncore_neural.recording import Affine

FRAMES = 240


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("robs", np.zeros((238, 3), np.uint8), "the stimulus has 240 frames but this has 238"),  # D04
        ("trial", np.zeros(239, int), "240 frames but this has 239"),
        ("stim", np.empty((FRAMES, 1, 4, 5), object), "dtype object"),  # D11
        ("stim", np.zeros((FRAMES, 4, 5), np.uint8), "must have shape"),
        ("trial", np.full(FRAMES, 0.5), "must be integer"),  # A25: trials that averaging made
        ("valid", np.ones(FRAMES), "must be bool"),
        ("valid", np.ones((FRAMES, 2), bool), "one per response column"),
        ("units", ("a", "b", "a"), "stand there more than once"),
        ("units", ("a", "b"), "3 response columns but 2 unit ids"),
        ("eyepos", np.zeros((FRAMES, 3)), "two columns"),
        ("behavior_names", ("running",), "2 columns but 1 names"),
        pytest.param("dt", 16.7, "milliseconds", id="D23"),
        ("dt", 0.0, "positive"),
        ("dt", float("nan"), "positive"),
        ("split", np.array(["train"] * FRAMES), "must be integer"),
    ],
)
def test_headers_that_disagree_are_refused_with_session_and_array(key, value, message):
    with pytest.raises(DataError) as caught:
        make(**{key: value})
    assert message in str(caught.value)
    assert "session 'm1_a'" in str(caught.value)
    assert key.removesuffix("_names") in str(caught.value)


def test_every_problem_is_told_at_once():
    with pytest.raises(DataError) as caught:
        make(robs=np.zeros((9, 3), np.uint8), trial=np.zeros(8, int), dt=-1.0)
    assert len(caught.value.problems) == 3


def test_values_are_scaled_when_read_and_maps_compose():
    recording = make(affine={"stim": Affine(np.asarray(2.0), np.asarray(-1.0))}).rescaled("stim", 0.5, 3.0)
    frames = np.array([[3, 0], [7, 7]])
    expected = (recording.stim[frames].astype(float) * 2 - 1) * 0.5 + 3
    np.testing.assert_allclose(recording.values("stim", frames), expected, rtol=1e-6)
    assert recording.values("stim", frames).dtype == np.float32
    assert recording.stim.dtype == np.uint8  # nothing was copied or converted


def test_chosen_units_keep_their_ids_responses_and_masks():
    valid = np.random.default_rng(0).random((FRAMES, 3)) > 0.5
    recording = make(valid=valid)
    part = recording.select(np.array([2, 0])).select(np.array([1]))
    assert part.units == ("u0",)
    frames = np.arange(10)
    np.testing.assert_array_equal(part.counts(frames), recording.robs[:10, :1])
    np.testing.assert_array_equal(part.validity(frames), valid[:10, :1])


def test_what_mixes_frames_starts_anew_at_every_trial_and_split_edge():
    trial = np.repeat([0, 0, 1, -1], 60)
    split = np.repeat([0, 1, 1, 1], 60)
    follows = make(trial=trial, split=split).follows()
    begins = np.flatnonzero(~follows)
    np.testing.assert_array_equal(begins, [0, 60, 120, *range(180, 240)])  # frames of no trial follow nothing


def test_a_recording_pickles():
    recording = make()
    again = pickle.loads(pickle.dumps(recording))
    np.testing.assert_array_equal(again.stim, recording.stim)
    assert again.units == recording.units


def test_an_array_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(DataError, match="no such array; it has stim, robs, valid"):
        make(behavior=None, behavior_names=()).array("behavior")
