"""VisionCore's transforms, filters and rates as preparations: against formulas, and with an account of what differs."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import yaml
from neural_recordings import choice, make

from visioncore_engine.config import resolve_part
from visioncore_engine.contracts import PreparationFacts
from visioncore_neural.imports.datasets import data_of
from visioncore_neural.imports.ledger import Block, Ledger
from visioncore_neural.options.dataset import SessionsOptions

LONG = yaml.safe_load("""
sessions: [a_1, b_1]
session_dir: sessions
sampling: {source_rate: 240, target_rate: 120}
keys_lags: {robs: 0, stim: [0, 1, 2], behavior: 0, dfs: 0}
transforms:
  stim: {source: stim, ops: [{pixelnorm: {}}, {unsqueeze: 1}], expose_as: stim}
  eye_vel:
    source: eyepos
    ops:
      - diff: {axis: 0}
      - maxnorm: {}
      - symlog: {}
      - temporal_basis: {num_delta_funcs: 0, num_cosine_funcs: 10, history_bins: 50, causal: false,
                         log_spacing: false, peak_range_ms: [30, 200], normalize: true}
      - splitrelu: {split_dim: 1, trainable_gain: false}
    expose_as: behavior
    concatenate: true
  eye_pos: {source: eyepos, ops: [], expose_as: behavior, concatenate: true}
datafilters: {dfs: {ops: [{valid_nlags: {n_lags: 32}}, {missing_pct: {threshold: 30}}], expose_as: dfs}}
""")


def imported(content):
    ledger = Ledger()
    return data_of(Block({"sessions": ["a_1"], **copy.deepcopy(content)}, "", ledger), None), ledger


def accepted(data):
    """Whether `visioncore check` takes the block."""
    return resolve_part(SessionsOptions, {key: value for key, value in data.items() if key != "name"})


def transformed(*operations, source="stim", target=None, sampling=None):
    """Preparations of one transform, and the account."""
    entry = {"source": source, "ops": list(operations), "expose_as": target or source}
    data, ledger = imported({"transforms": {"one": entry}, **({"sampling": sampling} if sampling else {})})
    assert accepted(data)
    return data.get("prepare", []), ledger


def applied(recording, blocks):
    for block in blocks:
        options = {key: value for key, value in block.items() if key not in ("name", "id")}
        preparation = choice("preparation", block["name"], **options).build(PreparationFacts(group="m1_a"))
        train = np.ones(recording.num_frames, bool)
        recording = preparation.apply(recording, preparation.fit(recording, train))
    return recording


def one_trial(**changes):
    """A recording without edges, where the old transforms and ours have the same frames."""
    frames = 120
    return make(frames=frames, trial=np.zeros(frames, np.int32), split=np.zeros(frames, np.int8),
                valid=np.ones(frames, bool), **changes)  # fmt: skip


def test_the_shipped_file_becomes_preparations_in_the_order_in_which_they_ran():
    data, ledger = imported(LONG)
    assert accepted(data)
    assert [one["name"] for one in data["prepare"]] == [
        "missing_pct", "downsample", "pixel_norm", "velocity", "max_norm", "symlog", "temporal_basis", "split_relu",
        "temporal_basis",
    ]  # fmt: skip
    assert data["prepare"][0]["threshold"] == 30.0
    assert data["prepare"][1]["factor"] == 2
    assert not [key for key in ledger.lost if key.startswith(("sampling", "transforms", "datafilters"))]
    for key in ("sampling.target_rate", "datafilters.dfs.ops.1.missing_pct", "transforms.eye_vel.ops.1.maxnorm"):
        assert key in ledger.changed


def test_the_shipped_preparations_fit_each_other_on_a_recording():
    data, _ = imported({**LONG, "sampling": {}, "datafilters": {}})
    prepared = applied(make(dt=1 / 120), data["prepare"])
    names = prepared.behavior_names
    assert names[:2] == ("running", "pupil")
    assert len(names) == 2 + 2 * 10 * 2 * 2 + 2  # functions of two channels, mirrored, split; and where the eye is
    assert len(set(names)) == len(names)


def test_a_chain_of_the_eye_position_is_the_formula_of_each_operation():
    recording = one_trial()
    eye = recording.eyepos
    blocks, _ = transformed({"diff": {"axis": 0}}, {"maxnorm": {}}, {"symlog": {}}, source="eyepos", target="behavior")
    found = applied(recording, blocks).values("behavior", slice(None))
    change = np.diff(eye, axis=0, prepend=eye[:1])
    scaled = change / np.abs(change).max(axis=0)
    np.testing.assert_allclose(found[:, 2:], np.sign(scaled) * np.log1p(np.abs(scaled)), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found[:, :2], recording.behavior)  # what was behavior stays
    blocks, ledger = transformed(source="eyepos", target="behavior")
    np.testing.assert_array_equal(applied(recording, blocks).values("behavior", slice(None))[:, 2:], eye)
    assert not ledger.changed.keys() - {"train_val_split"}


def test_operations_on_frames_are_their_formulas():
    recording = one_trial()
    stim = recording.stim.astype(np.float64)
    blocks, ledger = transformed({"pixelnorm": {}}, {"mul": 3.0}, {"diff": {"axis": 0}})
    expected = np.diff(3 * (stim - 127) / 255, axis=0, prepend=3 * (stim[:1] - 127) / 255)
    np.testing.assert_allclose(applied(recording, blocks).values("stim", slice(None)), expected, atol=1e-5)
    assert not ledger.lost


def test_smoothing_reaches_as_far_as_it_did_in_frames():
    recording = one_trial()  # 100 frames per second
    blocks, _ = transformed({"smooth": [{"type": "gaussian"}, {"params": 2.0}]}, source="behavior",
                            sampling={"source_rate": 100, "target_rate": 100})  # fmt: skip
    kernel = np.exp(-0.5 * (np.arange(-6, 7) / 2.0) ** 2)
    kernel /= kernel.sum()
    expected = np.stack([np.convolve(x, kernel, "same") for x in recording.behavior.T.astype(np.float64)], axis=1)
    found = applied(recording, blocks).values("behavior", slice(None))
    np.testing.assert_allclose(found[6:-6], expected[6:-6], atol=1e-5)
    blocks, ledger = transformed({"smooth": 2.0}, source="behavior")  # nobody says how long a frame is
    assert not blocks
    assert "milliseconds" in ledger.lost["transforms.one.ops.0.smooth"]


@pytest.mark.parametrize(
    ("operation", "source", "target", "key"),
    [
        ({"dacones": {}}, "stim", "stim", "ops.0.dacones"),
        ({"temporal_basis": {}}, "stim", "stim", "ops.0.temporal_basis"),
        ({"splitrelu": {}}, "stim", "stim", "ops.0.splitrelu"),
        ({"fftwhitening": {}}, "behavior", "behavior", "ops.0.fftwhitening"),
        ({"diff": {"axis": 1}}, "behavior", "behavior", "ops.0.diff.axis"),
        ({"mul": 240}, "behavior", "behavior", "ops.0.mul"),
        ({"rotate": {}}, "behavior", "behavior", "ops.0.rotate"),
        ({"symlog": {}}, "eyepos", "behavior", ""),
        ({"smooth": 1.0}, "robs", "robs", ""),
        ({"select_units": {"indices": [0, 2]}}, "robs", "robs", ""),
        ({"symlog": {}}, "stim", "behavior", ""),
    ],
)
def test_what_has_no_counterpart_is_lost_by_its_key(operation, source, target, key):
    blocks, ledger = transformed(operation, source=source, target=target)
    assert not blocks
    assert f"transforms.one.{key}".rstrip(".") in ledger.lost


def test_rates_that_are_no_whole_factor_are_lost_and_equal_ones_are_nothing():
    data, ledger = imported({"sampling": {"source_rate": 240, "target_rate": 100}})
    assert "prepare" not in data
    assert "sampling.target_rate" in ledger.lost
    data, ledger = imported({"sampling": {"source_rate": 240, "target_rate": 240}})
    assert "prepare" not in data
    assert "sampling.target_rate" not in {**ledger.lost, **ledger.changed}


def test_a28_misspelt_options_of_operations_are_told():
    _, ledger = transformed({"fftwhitening": {"f0": 0.3}}, {"diff": {"axs": 0}}, {"maxnorm": {"by": 1}})
    assert "'f_0' was meant?" in ledger.idle["transforms.one.ops.0.fftwhitening.f0"]
    assert {"transforms.one.ops.1.diff.axs", "transforms.one.ops.2.maxnorm.by"} <= set(ledger.idle)


def test_a_basis_of_the_eye_position_is_behavior_and_a_second_one_of_the_same_names_is_lost():
    basis = {"temporal_basis": {"num_cosine_funcs": 3, "history_bins": 9, "peak_range_ms": [10, 60]}}
    blocks, _ = transformed(basis, {"splitrelu": {}}, {"symlog": {}}, source="eyepos", target="behavior")
    prepared = applied(one_trial(), blocks)
    names = prepared.behavior_names[2:]
    assert len(names) == 2 * 3 * 2
    assert (prepared.values("behavior", slice(None))[:, 2:] >= 0).all()  # all of it was split, and nothing else
    entry = {"source": "eyepos", "expose_as": "behavior"}
    data, ledger = imported({"transforms": {"one": {**entry, "ops": [basis]}, "two": {**entry, "ops": []}}})
    assert [block["name"] for block in data["prepare"]] == ["temporal_basis"]
    assert "twice" in ledger.lost["transforms.two"]
