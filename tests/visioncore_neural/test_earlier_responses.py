"""Previous responses as a side input, and windows without a stimulus. B windows, T frames, N units."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_recordings import dataset, make
from unreported import train

from visioncore_engine import load, resolve
from visioncore_neural.data.source import SessionSource
from visioncore_neural.recording import Recording


def serve(*recordings, history=3, split="train", **options):
    options = {"side": ["previous_responses"], "window": {"length": 5}, **options}
    return dataset(*recordings, **options).sources(split, history)


def previous(recording, frame):
    """Response in the frame before, from its definition."""
    before = frame - 1
    if before < 0 or recording.trial[before] != recording.trial[frame] or recording.trial[frame] < 0:
        return np.zeros(recording.num_units)
    if recording.split[before] != recording.split[frame]:
        return np.zeros(recording.num_units)
    valid = np.broadcast_to(recording.validity(np.array([before]))[0], (recording.num_units,))
    return np.where(valid, recording.counts(np.array([before]))[0], 0)


@settings(max_examples=15, deadline=None)
@given(history=st.integers(0, 6), per_unit=st.booleans(), split=st.sampled_from(["train", "validation"]))
def test_in_each_needed_frame_stands_the_response_of_the_frame_before(history, per_unit, split):
    recording = make()
    if per_unit:
        recording = replace(recording, valid=np.random.default_rng(0).random((240, 3)) > 0.3)
    (source,) = serve(recording, history=history, split=split)
    assert source.group.side == {"previous_responses": 3}
    group = source.gather(np.arange(source.num_items))
    given_side, frames = group.side["previous_responses"].numpy(), source.frames(np.arange(source.num_items))
    for window, row in zip(given_side, frames, strict=True):
        first = row[0] - history
        for place, value in enumerate(window):
            if np.any(value):
                np.testing.assert_array_equal(value, previous(recording, first + place))
    predicted = group.mask.any(-1).numpy()
    for b, frame in np.argwhere(predicted):
        np.testing.assert_array_equal(given_side[b, history + frame], previous(recording, frames[b, frame]))


def test_l9_no_target_of_a_frame_is_in_its_own_side_input_or_in_that_of_another_split():
    recording = make()
    (source,) = serve(recording)
    items = np.arange(source.num_items)
    group, frames = source.gather(items), source.frames(items)
    for item in items[::5]:
        for place in np.flatnonzero(frames[item] >= 0):
            changed = recording.robs.copy()
            changed[frames[item, place] :] += 7
            (other,) = serve(replace(recording, robs=changed))
            side = other.gather(items[item : item + 1]).side["previous_responses"][0, : 3 + place + 1]
            assert torch.equal(side, group.side["previous_responses"][item, : 3 + place + 1])
    elsewhere = recording.robs.copy()
    elsewhere[recording.split != 0] += 7
    (other,) = serve(replace(recording, robs=elsewhere))
    assert torch.equal(other.gather(items).side["previous_responses"], group.side["previous_responses"])


def test_l1_responses_under_a_false_mask_are_no_previous_responses():
    recording = make()
    robs = recording.robs.astype(np.float32)
    poisoned = np.where(recording.valid[:, None], robs, np.nan)
    one, other = (serve(replace(recording, robs=values))[0] for values in (robs, poisoned))
    items = np.arange(one.num_items)
    assert torch.equal(one.gather(items).side["previous_responses"], other.gather(items).side["previous_responses"])


def test_previous_responses_are_of_the_chosen_units():
    (source,) = serve(make(), units=["m1_a/u2", "m1_a/u0"])
    assert source.group.side == {"previous_responses": 2}
    side = source.gather(np.arange(source.num_items)).side["previous_responses"]
    assert side.shape[2] == 2
    assert side.sum() > 0


# -- no stimulus


def test_windows_without_inputs_are_the_same_windows_and_never_touch_the_stimulus(monkeypatch):
    (source,) = serve(make(), side=["behavior", "previous_responses"])
    items = np.arange(source.num_items)
    seeing = source.gather(items)
    values, encoding = Recording.values, Recording.encoding

    def watched(method):
        def read(self, key, *more):
            assert key != "stim", "the stimulus was read"
            return method(self, key, *more)

        return read

    monkeypatch.setattr(Recording, "values", watched(values))
    monkeypatch.setattr(Recording, "encoding", watched(encoding))
    vars(source).pop("_encoding")  # as if nobody had read the stimulus before
    blind = source.without_inputs().gather(items)
    assert blind.inputs.shape == (len(items), 0, *seeing.inputs.shape[2:])
    assert blind.inputs.numel() == 0
    for name, side in seeing.side.items():
        assert torch.equal(blind.side[name], side)
    assert torch.equal(blind.targets["robs"], seeing.targets["robs"])
    assert torch.equal(blind.mask, seeing.mask)
    with pytest.raises(AssertionError, match="the stimulus was read"):
        source.gather(items)


RUN = """
seed: 1
data: {name: synthetic_v1, num_sessions: 2, num_units: 4, size: 12, duration: 60, trial: 3, num_repeats: 2,
       window: {length: 10}, side: [behavior, previous_responses]}
sampler: {name: shuffled, batch_size: 200}
model: {name: encoder, stimulus: false, modulator: {name: predictive_coding, hidden_channels: 4, burn_in: 3},
        history: {num_lags: 3}, readout: pooled, baseline: 0.01}
loss: {name: poisson, weighting: units}
metrics: [bits_per_spike]
optimizer: {name: adamw, lr: 0.01}
checkpoint: {monitor: val/bits_per_spike, mode: max}
evaluate: [units]
trainer: {max_steps: 3, accelerator: cpu, log_every_n_steps: 1}
loggers: [csv]
"""


def test_a_run_without_stimulus_trains_evaluates_and_loads_without_reading_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(RUN)

    def refuse(self, first, blank, *, decoded):
        assert not self._reads_inputs, "the stimulus was read"
        return torch.zeros((len(first), 0, self._length, 12, 12)), None

    monkeypatch.setattr(SessionSource, "_inputs", refuse)
    train(resolve(["run.yaml"], sets=["run.dir=run"]))
    assert "train/auxiliary/prediction_error" in Path("run/metrics.csv").read_text().splitlines()[0]
    twin = load("run/checkpoints/last.ckpt")
    group = next(iter(twin.groups))
    side = {name: torch.randn(1, 12, size) for name, size in twin.groups[group].side.items()}
    assert twin(group, torch.zeros(1, 1, 12, 12, 12), side).shape == (1, 12 - twin.history, 4)
