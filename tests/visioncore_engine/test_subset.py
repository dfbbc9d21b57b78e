"""A validation that reads a fixed part: the same windows every time, at any world size, none dropped or repeated."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import toy_plugin
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_options import ToyDataOptions
from toy_parts import ToyData

from visioncore_engine import resolve, train
from visioncore_engine.contracts import DatasetFacts
from visioncore_engine.data.loader import EvaluationLoader
from visioncore_engine.data.subset import fixed_part
from visioncore_engine.errors import ConfigError

SIZES = st.lists(st.integers(0, 90), min_size=1, max_size=4)


def sources(sizes):
    return [SimpleNamespace(num_items=size, group=SimpleNamespace(name=f"g{i}")) for i, size in enumerate(sizes)]


@given(sizes=SIZES, fraction=st.floats(0.001, 1.0), seed=st.integers(0, 2**32 - 1))
def test_every_group_gives_its_share_of_different_windows_in_order(sizes, fraction, seed):
    chosen = fixed_part(sources(sizes), fraction, seed)
    for size, items in zip(sizes, chosen, strict=True):
        assert items.dtype == np.int64
        assert np.all(np.diff(items) > 0)
        assert items.size == 0 or (items[0] >= 0 and items[-1] < size)
        assert abs(len(items) - math.ceil(fraction * size)) <= 1
        assert (len(items) > 0) == (size > 0)


@given(size=st.integers(1, 300), percent=st.integers(1, 100))
def test_a_decimal_fraction_takes_what_a_reader_would_count(size, percent):
    (items,) = fixed_part(sources([size]), percent / 100, 0)
    assert len(items) == -(-size * percent // 100)


@given(sizes=SIZES, fraction=st.floats(0.1, 1.0), seed=st.integers(0, 99))
def test_the_choice_repeats_and_no_group_depends_on_another(sizes, fraction, seed):
    every = sources(sizes)
    together = fixed_part(every, fraction, seed)
    for source, items in zip(every, together, strict=True):
        np.testing.assert_array_equal(fixed_part([source], fraction, seed)[0], items)


def test_another_seed_chooses_other_windows_and_one_is_everything():
    assert not np.array_equal(fixed_part(sources([90]), 0.3, 1)[0], fixed_part(sources([90]), 0.3, 2)[0])
    np.testing.assert_array_equal(fixed_part(sources([90]), 1.0, 1)[0], np.arange(90))


@settings(deadline=None, max_examples=40)
@given(world=st.integers(1, 5), batch_size=st.integers(1, 50), fraction=st.floats(0.01, 1.0), seed=st.integers(0, 9))
def test_a16_l9_the_union_over_processes_is_the_choice_at_any_batch_size_every_epoch(world, batch_size, fraction, seed):
    real = ToyData(ToyDataOptions(), DatasetFacts(seed=1)).sources("train", 0)
    items = fixed_part(real, fraction, seed)
    loaders = [EvaluationLoader(real, batch_size, items=items, rank=rank, world_size=world) for rank in range(world)]
    wanted = [(source.group.name, int(item)) for source, own in zip(real, items, strict=True) for item in own]
    for _ in range(2):  # two epochs
        read = [
            (group.name, int(item))
            for loader in loaders
            for batch in loader
            for group in batch.groups
            for item in group.items
        ]
        assert sorted(read) == sorted(wanted)


RUN = """
data: {name: toy, num_groups: 2}
sampler: {name: toy_random, batch_size: 24, batches_per_epoch: 2}
model: toy_linear
loss: toy_squared
metrics: [toy_error]
optimizer: {name: toy_adamw, lr: 0.01}
callbacks: [toy_events]
loggers: [toy_memory]
checkpoint: {monitor: val/toy_error}
trainer: {max_epochs: 2}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(RUN)
    return lambda *sets: resolve(["run.yaml"], sets=sets, plugin_files=[toy_plugin.__file__])


def test_training_scores_the_part_and_its_end_scores_everything(run, monkeypatch):
    from visioncore_engine.module import TrainingModule

    seen = []
    original = TrainingModule.on_validation_epoch_end

    def remember(module):
        original(module)
        seen.append(sum(state["count"].sum().item() for state in module._scoring._states["toy_error"].values()))

    monkeypatch.setattr(TrainingModule, "on_validation_epoch_end", remember)
    sets = ("data.masked=0.0", "run.dir=part", "loader.validation_fraction=0.4")
    part = train(run(*sets), quiet=True)
    assert seen == [3 * (4 + 5)] * 2  # 3 of 7 windows of each group, of 4 and 5 columns
    whole = train(run("data.masked=0.0", "run.dir=whole"), quiet=True)
    assert seen[2:] == [7 * (4 + 5)] * 2
    assert part.scores == whole.scores


@pytest.mark.parametrize("fraction", ["0", "1.5", "-0.1"])
def test_a_fraction_lies_in_zero_to_one(run, fraction):
    with pytest.raises(ConfigError, match=r"loader\.validation_fraction: expected a number in \(0, 1\]"):
        run(f"loader.validation_fraction={fraction}")
