"""A session's windows by the compiled road, by torch, and from a tensor on the device: the same bits."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_recordings import dataset, make
from roads import road

from visioncore_engine.data.homes import settle


def fields(group):
    yield "inputs", group.inputs
    yield "mask", group.mask
    for kind in ("targets", "side", "tags"):
        yield from ((f"{kind}.{name}", value) for name, value in getattr(group, kind).items())
    if group.encoding is not None:
        yield from (("scale", group.encoding.scale), ("offset", group.encoding.offset))
        yield "blank", torch.empty(0) if group.encoding.blank is None else group.encoding.blank


def same(one, other):
    one, other = dict(fields(one)), dict(fields(other))
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value.dtype == other[name].dtype, name
        assert value.shape == other[name].shape, name
        assert value.numpy().tobytes() == other[name].numpy().tobytes(), name


@st.composite
def sources(draw):
    chance = np.random.default_rng(draw(st.integers(0, 2**16)))
    channels = draw(st.integers(1, 2))
    dtype = draw(st.sampled_from(["uint8", "int8", "int16", "uint16", "int32", "float16", "float32", "float64"]))
    stim = (chance.normal(size=(240, channels, 3, 4)) * 90 + 60).astype(dtype)
    valid = chance.random(240) < draw(st.sampled_from([0.3, 0.9, 1.0]))
    recording = make(stim=stim, valid=valid)
    if draw(st.booleans()):
        recording = recording.rescaled("stim", chance.normal(size=(channels, 1, 1)), chance.normal())
    if draw(st.booleans()):
        recording = recording.rescaled("behavior", 2.0, -1.0)
    window = {"length": draw(st.sampled_from([1, 5, 64]))}
    data = dataset(recording, window=window, side=["behavior", "previous_responses"])
    return data, draw(st.integers(0, 4)), chance


@settings(max_examples=60, deadline=None)
@given(sources())
def test_every_road_gives_the_same_bits(case):
    data, history, chance = case
    kept = copy.copy(data)
    kept._kept, kept._sources = dict(data._kept), {}
    movable = data.large_arrays()["m1_a"].dtype.name not in ("uint16", "float64")
    if movable:
        settle(kept, "device", torch.device("cpu"), token="t")
    for split in ("train", "validation"):
        source, on_device = (opened.sources(split, history)[0] for opened in (data, kept))
        items = chance.permutation(source.num_items)
        with road("torch"):
            gathered, stored = source.gather(items), source.stored(items)
        with road("compiled"):
            same(source.gather(items), gathered)
            same(source.stored(items), stored)
        if movable:
            same(on_device.gather(items), gathered)
            same(on_device.stored(items).to("cpu"), gathered)


@pytest.mark.parametrize("home", ["device", "shared", "mapped"])
def test_a_run_learns_the_same_in_every_home(home, tmp_path, monkeypatch):
    from unreported import train

    from visioncore_engine import resolve
    from visioncore_engine.data import shared

    root = tmp_path / "memory"
    root.mkdir()
    monkeypatch.setattr(shared.attach, "__defaults__", (root,))
    monkeypatch.setattr(shared.is_there, "__defaults__", (root,))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(RUN)
    with road("torch"):
        plain = train(resolve(["run.yaml"], sets=["run.dir=plain", "loader.home=mapped", "loader.gather=torch"]))
        other = train(resolve(["run.yaml"], sets=["run.dir=other", f"loader.home={home}"]))
    assert other.scores == plain.scores
    assert list(root.rglob("*.npy")) == []
    assert json.loads((tmp_path / "plain" / "record.json").read_text())["loader"]["gather"] == "torch"
    record = json.loads((tmp_path / "other" / "record.json").read_text())["loader"]
    assert record["frames"]["home"] == home
    assert record["frames"]["num_bytes"] > 0


@pytest.mark.slow
def test_two_processes_share_one_copy_and_leave_nothing(tmp_path, monkeypatch):
    from unreported import train

    from visioncore_engine import resolve
    from visioncore_engine.data import shared

    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(RUN)
    before = set(shared.ROOT.rglob("*.npy")) if shared.ROOT.exists() else set()
    sets = ["trainer.accelerator=cpu", "trainer.devices=2"]
    found = {
        home: train(resolve(["run.yaml"], sets=[*sets, f"run.dir={home}", f"loader.home={home}"])).scores
        for home in ("mapped", "shared")
    }
    assert found["shared"] == found["mapped"]
    record = json.loads((tmp_path / "shared" / "record.json").read_text())["loader"]["frames"]
    assert record["home"] == "shared"
    assert set(shared.ROOT.rglob("*.npy")) <= before


RUN = """
seed: 1
data: {name: synthetic_v1, num_sessions: 2, num_units: 4, size: 12, duration: 100, dt: 0.05, window: {length: 8}}
sampler: {name: contrast_weighted, batch_size: 64}
model: {name: encoder, core: [{name: conv3d, channels: [4], kernel_size: [4, 3, 3]}], readout: gaussian}
loss: poisson
metrics: [bits_per_spike]
optimizer: {name: adamw, lr: 0.01}
checkpoint: {monitor: val/bits_per_spike, mode: max}
trainer: {max_steps: 4, max_epochs: 1}
"""
