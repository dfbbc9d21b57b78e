from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_options import ToyDataOptions
from toy_parts import ToyData, ToySampler

from visioncore_engine.contracts import DatasetFacts, Encoding, SamplerFacts
from visioncore_engine.data.index import build_index, gather, share
from visioncore_engine.data.loader import HAND_OVER, EvaluationLoader, PlanLoader
from visioncore_engine.errors import DataError
from visioncore_engine.options import SamplerOptions


@pytest.fixture
def index():
    return build_index(ToyData(ToyDataOptions(), DatasetFacts(seed=1)).sources("train", 0))


def loader(index, *, start=(0, 0), batch_size=16, **options):
    sampler = ToySampler(SamplerOptions(batch_size=batch_size, batches_per_epoch=6), SamplerFacts(index, 9))
    options = {"accumulate": 1, "prefetch": 0, "weigh": lambda micros: {}, **options}
    return PlanLoader(index, sampler, start=lambda: start, **options)


def rows(step):
    """(group, window) of every row that a plan step reads, sorted."""
    return sorted((group.name, int(item)) for micro in step.micros for group in micro.groups for item in group.items)


@given(size=st.integers(0, 300), parts=st.integers(1, 9))
def test_shares_are_disjoint_cover_the_batch_and_differ_by_at_most_one(size, parts):
    shares = [share(np.arange(size), part, parts) for part in range(parts)]
    np.testing.assert_array_equal(np.concatenate(shares), np.arange(size))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@settings(deadline=None, max_examples=30)
@given(world=st.integers(1, 5), accumulate=st.integers(1, 4), batch_size=st.integers(1, 40))
def test_l2_the_union_over_processes_is_the_plan_of_one(world, accumulate, batch_size):
    index = build_index(ToyData(ToyDataOptions(), DatasetFacts(seed=1)).sources("train", 0))
    alone = [rows(step) for step in loader(index, batch_size=batch_size)]
    shared = [
        list(loader(index, batch_size=batch_size, accumulate=accumulate, rank=rank, world_size=world))
        for rank in range(world)
    ]
    assert {len(steps) for steps in shared} == {len(alone)}
    for number, whole in enumerate(alone):
        assert sorted(row for steps in shared for row in rows(steps[number])) == whole


def test_reading_ahead_and_resuming_change_nothing(index):
    plain = [rows(step) for step in loader(index, start=(3, 0))]
    assert [rows(step) for step in loader(index, start=(3, 0), prefetch=3)] == plain
    for first in range(7):
        assert [rows(step) for step in loader(index, start=(3, first), prefetch=2)] == plain[first:]
    assert [rows(step) for step in loader(index, start=(4, 0))] != plain


@pytest.mark.parametrize(("quick", "slow", "ahead"), [(3, 2, False), (2, 3, True)])
def test_what_is_read_faster_than_handed_over_is_read_in_the_step(index, monkeypatch, quick, slow, ahead):
    """The first read, and those that were disturbed, do not decide; a short epoch leaves it to the next."""
    first = 0.0 if ahead else 9.0  # would decide otherwise, if it counted
    reads = [first, *[9.0] * slow, *[HAND_OVER / 2] * quick]
    ticks = iter([tick for read in reads for tick in (0.0, read)])
    made = loader(index, prefetch="auto", clock=lambda: next(ticks))
    readers = []
    read = made.read
    monkeypatch.setattr(made, "read", lambda *place: readers.append(threading.current_thread().name) or read(*place))
    plain = loader(index)
    for start in ((0, 3), (1, 0)):  # 3 steps, then 6
        made._start = plain._start = lambda start=start: start
        assert [rows(step) for step in made] == [rows(step) for step in plain]
    in_the_thread = [name.startswith("visioncore-loader") for name in readers]
    assert in_the_thread == [False] * 6 + [ahead] * 3
    assert next(ticks, None) is None  # nothing is measured any longer
    assert made.chosen.startswith(
        "read 2 steps ahead:" if ahead else "read in the step: the first batches took 0.15 ms"
    )
    assert not plain.chosen


def test_where_an_epoch_starts_is_asked_at_the_first_next_not_at_iter(index):
    place = (0, 0)
    made = loader(index)
    made._start = lambda: place
    iterator = iter(made)
    place = (5, 2)
    assert next(iterator).position == (next(iter(loader(index, start=(5, 2))))).position


def test_an_error_while_reading_ahead_reaches_the_step(index):
    made = loader(index, prefetch=2)
    made._sampler.batch = lambda position: np.array([10**9])
    with pytest.raises(DataError, match="outside 0"):
        list(made)


def test_a_gather_keeps_the_plan_order_inside_each_group(index):
    items = np.random.default_rng(0).permutation(index.num_items)[:50]
    batch = gather(index, items)
    for group in batch.groups:
        own = items[(items >= index.offsets[group.index]) & (items < index.offsets[group.index + 1])]
        np.testing.assert_array_equal(group.items.numpy(), own - index.offsets[group.index])
        torch.testing.assert_close(
            group.inputs, torch.from_numpy(index.sources[group.index].inputs[group.items.numpy()])
        )


class Compact:
    """A source that stores 8-bit inputs, beside the values that they stand for."""

    def __init__(self, source):
        self.group, self.num_items, self.frames_per_item = source.group, source.num_items, source.frames_per_item
        self.weights, self.column_weights, self._source = source.weights, source.column_weights, source

    def stored(self, items):
        group = self._source.gather(items)
        shape = (1,) * group.inputs.ndim
        code = Encoding(torch.full(shape, 0.1), torch.full(shape, -1.0))
        return replace(group, inputs=(group.inputs * 40).clamp(0, 255).to(torch.uint8), encoding=code)

    def gather(self, items):
        return self.stored(items).decoded()


def test_inputs_travel_as_they_are_stored_as_values_or_rounded():
    index = build_index(
        [Compact(source) for source in ToyData(ToyDataOptions(), DatasetFacts(seed=1)).sources("train", 0)]
    )
    (stored, values, rounded) = (
        [group for micro in next(iter(loader(index, dtype=dtype))).micros for group in micro.groups]
        for dtype in ("stored", "float32", "bfloat16")
    )
    for group, value, half in zip(stored, values, rounded, strict=True):
        assert (group.inputs.dtype, value.inputs.dtype, half.inputs.dtype) == (
            torch.uint8,
            torch.float32,
            torch.bfloat16,
        )
        assert torch.equal(group.to("cpu").inputs, value.inputs)
        assert torch.equal(half.to("cpu").inputs, value.inputs.bfloat16().float())


def test_what_a_step_is_divided_by_is_weighed_while_masks_are_on_the_cpu(index):
    def weigh(micros):
        return {"task": float(sum(len(micro) for micro in micros))}

    for step in loader(index, weigh=weigh, accumulate=3, prefetch=2, rank=1, world_size=2):
        assert step.weights == {"task": len(rows(step))}


@given(batch_size=st.integers(1, 64))
def test_evaluation_reads_every_window_once_in_order(batch_size):
    sources = ToyData(ToyDataOptions(), DatasetFacts(seed=1)).sources("train", 0)
    made = EvaluationLoader(sources, batch_size)
    seen = [(group.name, int(item)) for batch in made for group in batch.groups for item in group.items]
    assert seen == [(source.group.name, item) for source in sources for item in range(source.num_items)]
    assert len(list(made)) == len(made)


def test_data_without_a_window_are_refused():
    data = ToyData(ToyDataOptions(num_groups=1, num_items=0), DatasetFacts(seed=1))
    with pytest.raises(DataError, match="no training window in any group"):
        build_index(data.sources("train", 0))
