"""The old fetch and collate delivers the engine's batches, bit for bit."""

from __future__ import annotations

import data_path
import numpy as np
import pytest
import torch
from old_data import OldSession, Part, old_collate, old_loader
from recordings import dataset_of, noise

from visioncore_engine.data.index import build_index

LAGS = 4


@pytest.fixture(scope="module")
def recordings():
    return [noise(f"m{n}_a", frames=400, size=6, num_units=3 + n, seed=n, trial=40) for n in range(3)]


@pytest.fixture(scope="module")
def index(recordings):
    return build_index(dataset_of(recordings, 1).sources("train", LAGS - 1))


def test_batches_are_the_engines(recordings, index):
    batches = [np.random.default_rng(seed).integers(index.num_items, size=32) for seed in range(3)]
    engine = data_path.engine_loader(index, batches)
    old = old_loader(data_path.old_sessions(recordings, index, LAGS), [batch.tolist() for batch in batches])
    for step, sessions in enumerate(old):
        (batch,) = engine.read(0, step).micros
        assert [int(session["session"][0]) for session in sessions] == [group.index for group in batch.groups]
        for session, group in zip(sessions, batch.groups, strict=True):
            assert torch.equal(session["stim"], group.inputs)
            assert torch.equal(session["dfs"] > 0, group.mask[:, 0])
            assert torch.equal(torch.where(group.mask[:, 0], session["robs"], 0.0), group.targets["robs"][:, 0])
            assert torch.equal(session["behavior"], group.side["behavior"][:, -1])


def test_windows_hold_the_same_frames(recordings):
    single = build_index(dataset_of(recordings, 1).sources("train", LAGS - 1))
    windows = build_index(dataset_of(recordings, 8).sources("train", LAGS - 1))
    for one, long in zip(single.sources, windows.sources, strict=True):
        group = long.gather(np.arange(long.num_items))
        frames, valid = group.tags["frame"], group.mask[..., 0]
        alone = one.gather(np.arange(one.num_items))
        assert sorted(frames[valid].tolist()) == alone.tags["frame"].flatten().tolist()
        where = {int(frame): number for number, frame in enumerate(alone.tags["frame"][:, 0])}
        for row, place in valid.nonzero()[:20].tolist():
            number = where[int(frames[row, place])]
            assert torch.equal(group.inputs[row, :, place : place + LAGS], alone.inputs[number])


def test_a_sample_has_the_lags_that_were_asked_for_in_their_order():
    stim = torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1)
    parts = [
        Part({"stim": stim, "robs": torch.arange(10.0)[:, None]}),
        Part({"stim": stim + 100, "robs": -torch.arange(10.0)[:, None]}),
    ]
    session = OldSession(parts, torch.tensor([[0, 5], [1, 7]]), {"stim": [2, 1, 0], "robs": None})
    assert session[0]["stim"].flatten().tolist() == [3, 4, 5]
    assert session[1]["stim"].flatten().tolist() == [105, 106, 107]
    assert session[1]["robs"].tolist() == [-7.0]


def test_a_batch_has_its_sessions_in_order_and_its_samples_in_theirs():
    samples = [
        {"x": torch.tensor([value]), "session": torch.tensor(number)} for value, number in ((1, 2), (2, 0), (3, 2))
    ]
    first, second = old_collate(samples)
    assert (first["x"].flatten().tolist(), second["x"].flatten().tolist()) == ([2], [1, 3])
