"""Defects that a training system of visual cortex had with its data, named after the list of them; others stand by what
they are about.
"""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_recordings import choice, dataset, make

from visioncore_engine.config import resolve
from visioncore_engine.contracts import ReaderFacts
from visioncore_engine.errors import ConfigError, DataError

PRIVATE = ("DataYatesV1", "plenoptic", "pynwb", "scipy", "torchvision", "lightning")


@given(
    history=st.integers(0, 30),
    length=st.integers(1, 5),
    factor=st.integers(0, 3),
    cuts=st.lists(st.integers(1, 119), min_size=1, max_size=8),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_a28b_whatever_history_is_served_every_frame_of_it_lies_in_the_trial_and_split(
    history, length, factor, cuts, seed
):
    """Validity is derived from what is served, after all preparations; no index can be negative and wrap."""
    trial = np.searchsorted(np.sort(cuts), np.arange(120), side="right")
    split = np.random.default_rng(seed).integers(0, 2, trial.max() + 1)[trial]
    split[trial == trial[60]] = 0
    marks = (10 * trial + split).astype(np.float32)[:, None, None, None]  # a frame says where it lies
    recording = make(frames=120, stim=marks + 1, trial=trial, split=split, valid=np.ones(120, bool))
    prepare = [choice("preparation", "downsample", factor=factor)] if factor > 1 else []
    for name, number in (("train", 0), ("validation", 1)):
        try:
            (source,) = dataset(recording, prepare=prepare, window={"length": length}).sources(name, history)
        except DataError as error:
            # With some draws there is something to train on, with others there is not.
            assert re.search("no training window|no valid training frame", str(error))  # noqa: PT017 - as said
            continue
        if not source.num_items:
            continue
        group = source.gather(np.arange(source.num_items))
        assert group.inputs.shape[2] == history + length
        for window, predicted in zip(group.inputs[:, 0, :, 0, 0].numpy(), group.mask.any(-1).numpy(), strict=True):
            for place in np.flatnonzero(predicted):
                seen = window[place : place + history + 1] - 1
                assert len(set(seen.tolist())) == 1
                assert seen[0] % 10 == number


RUN = """\
data:
  name: sessions
  prepare: [{name: missing_pct, table: units.csv, theshold: 30.0}]
sampler: shuffled
model:
  name: encoder
  core: [{name: conv3d, channels: [2], checkpointing: true}]
  readout: {name: gaussian, n_units: 3}
loss: poisson
optimizer: {name: adamw, lr: 1.0e-3}
trainer: {max_epochs: 1}
"""


def test_a28_a_misspelt_or_unknown_option_is_an_error_with_the_nearest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(RUN)
    with pytest.raises(ConfigError) as caught:
        resolve(["run.yaml"])
    text = str(caught.value)
    assert "run.yaml:3: data.prepare.missing_pct.theshold" in text
    assert "did you mean 'threshold'?" in text
    assert "checkpointing" in text
    assert "n_units" in text


def test_a31_one_recording_with_two_stimuli_is_two_sessions_or_an_error():
    one, other = make("m1_a"), make("m1_a", seed=1)
    with pytest.raises(DataError, match=r"two sessions have one name .got m1_a."):
        dataset(one, other)
    both = dataset(one, make("m1_a", seed=1, name="m1_a/gratings"))
    assert [group.name for group in both.groups] == ["m1_a", "m1_a/gratings"]


def test_b10_a_recording_without_a_mask_counts_everywhere_and_one_without_behavior_says_so(tmp_path):
    np.savez(tmp_path / "a.npz", stim=make().stim, robs=make().robs, dt=0.01)
    bare = choice("reader", "npz").build(ReaderFacts(tmp_path / "a.npz")).read()
    assert np.asarray(bare.valid).all()
    with pytest.raises(DataError, match="the session has no 'behavior'"):
        dataset(make(behavior=None, behavior_names=()), side=["behavior"])
    for preparation in ("symlog", "max_norm", "difference", "split_relu"):
        with pytest.raises(DataError, match="behavior: the recording has no such array"):
            dataset(make(behavior=None, behavior_names=()), prepare=[choice("preparation", preparation)])


def test_b13_units_that_a_checkpoint_knows_are_found_by_id_after_the_recording_changed():
    prepare = [choice("preparation", "select_units", ids={"m1_a": ["u0", "u2"]})]
    state = dataset(make(), prepare=prepare).state()
    robs = np.concatenate([make(num_units=4).robs[:, 3:], make().robs[:, ::-1]], axis=1)
    changed = make(num_units=4, robs=robs, units=("new", "u2", "u1", "u0"))
    again = dataset(changed, prepare=prepare, state=state)
    assert set(again.groups[0].targets["robs"].ids) == {"u0", "u2"}
    with pytest.raises(DataError, match=r"session 'm1_a'.*no such unit .got 'u2'"):
        dataset(make(num_units=2), prepare=prepare, state=state)


def test_b14_everything_imports_without_packages_that_only_one_lab_has():
    code = f"""
import importlib, pkgutil, sys
for name in {PRIVATE!r}:
    sys.modules[name] = None  # importing it raises an ImportError
import visioncore_neural
for module in pkgutil.walk_packages(visioncore_neural.__path__, "visioncore_neural."):
    importlib.import_module(module.name)
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
