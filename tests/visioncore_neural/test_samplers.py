"""Samplers: pure plans whose shares are what they say. G sessions, N windows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_recordings import choice, dataset, make

from visioncore_engine.contracts import GroupSpec, Index, Position, SamplerFacts, TargetSpec
from visioncore_engine.data.index import build_index
from visioncore_engine.data.loader import PlanLoader
from visioncore_engine.errors import DataError
from visioncore_neural.samplers.balanced import shares

SAMPLERS = ("by_session", "balanced", "contrast_weighted")


class Source:
    """Windows that hold only a score."""

    def __init__(self, group, scores):
        self.group, self.num_items, self._scores = group, len(scores), scores

    def score(self, name):
        assert name == "contrast"
        return self._scores


def make_index(sizes, *, units=None, subjects=None, length=1, scores=None, weights=None):
    units, subjects = units or [3] * len(sizes), subjects or [f"m{i}" for i in range(len(sizes))]
    groups = tuple(
        GroupSpec(
            name=f"s{i}",
            labels={"sessions": f"s{i}", "subjects": subject},
            input_shape=(1, 1, 1),
            targets={"robs": TargetSpec(kind="counts", size=num)},
        )
        for i, (num, subject) in enumerate(zip(units, subjects, strict=True))
    )
    rng = np.random.default_rng(0)
    scores = scores or [rng.uniform(0.2, 1.0, size) for size in sizes]
    return Index(
        groups=groups,
        offsets=np.cumsum([0, *sizes]),
        weights=tuple(weights or [np.full(size, float(length)) for size in sizes]),
        column_weights=({},) * len(sizes),
        sources=tuple(Source(group, score) for group, score in zip(groups, scores, strict=True)),
        frames_per_item=length,
    )


def build(name, index, seed=0, **options):
    return choice("sampler", name, **options).build(SamplerFacts(index, seed))


def at(sampler, number, epoch=0):
    steps = sampler.steps_per_epoch()
    number += epoch * steps
    return sampler.batch(Position(number // steps, number % steps, number))


def batches(sampler, num=None):
    return [at(sampler, i) for i in range(num or sampler.steps_per_epoch())]


def owners(index, items):
    return np.searchsorted(index.offsets, items, side="right") - 1


# ---------------------------------------------------------------------------------------------------------------
# What all of them keep


@pytest.mark.parametrize("name", SAMPLERS)
def test_l2_l4_the_plan_is_a_pure_function_of_seed_and_position(name):
    index = make_index([50, 20, 90])
    sampler, again = (build(name, index, seed=5, batch_size=8) for _ in range(2))
    plan = batches(sampler, 60)
    for i in np.random.default_rng(0).permutation(60):  # asked for in any order, by another instance
        np.testing.assert_array_equal(at(again, int(i)), plan[i])
    assert any((at(build(name, index, seed=6, batch_size=8), i) != plan[i]).any() for i in range(3))


@pytest.mark.parametrize("name", SAMPLERS)
def test_a8_no_batch_of_an_epoch_is_that_of_another(name):
    sampler = build(name, make_index([50, 20, 90]), batch_size=8)
    steps = sampler.steps_per_epoch()
    plan = [sorted(batch.tolist()) for batch in batches(sampler, 3 * steps)]
    for epoch in (1, 2):
        later = plan[epoch * steps : (epoch + 1) * steps]
        assert all(one != other for one, other in zip(plan[:steps], later, strict=True))


@pytest.mark.parametrize(("name", "options"), [("by_session", {}), ("balanced", {"by": "samples"})])
def test_a8_an_epoch_draws_every_window_once(name, options):
    sampler = build(name, make_index([50, 20, 90]), batch_size=8, **options)
    for epoch in range(3):
        drawn = [at(sampler, step, epoch) for step in range(sampler.steps_per_epoch())]
        np.testing.assert_array_equal(np.sort(np.concatenate(drawn)), np.arange(160))


def test_a8_epochs_with_replacement_draw_other_windows_until_all_were_drawn():
    sampler = build("contrast_weighted", make_index([500, 200, 900]), warmup=1.0, batch_size=8)
    steps = range(sampler.steps_per_epoch())
    epochs = [{*np.concatenate([at(sampler, step, epoch) for step in steps])} for epoch in range(12)]
    for drawn in epochs:  # each window is left out with probability 1/e
        assert len(drawn) / 1600 == pytest.approx(1 - np.exp(-1), abs=0.05)
    kept = len(epochs[0] & epochs[1]) / 1600
    assert kept == pytest.approx((1 - np.exp(-1)) ** 2, abs=0.06)  # as many in common as by chance
    assert len(set.union(*epochs)) == 1600


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize(("length", "batch_size", "items"), [(1, 8, 8), (4, 8, 2), (32, 8, 1), (4, 9, 2)])
def test_batch_size_counts_frames(name, length, batch_size, items):
    sampler = build(name, make_index([50, 20, 90], length=length), batch_size=batch_size)
    assert len(at(sampler, 0)) == items
    assert at(sampler, 0).dtype == np.int64
    assert build(name, make_index([50]), batch_size=4, batches_per_epoch=7).steps_per_epoch() == 7


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_session_without_windows_is_passed_over(name):
    index = make_index([0, 30, 0, 10, 0])
    items = np.concatenate(batches(build(name, index, batch_size=4), 40))
    assert set(owners(index, items)) == {1, 3}
    assert items.min() >= 0
    assert items.max() < 40


# ---------------------------------------------------------------------------------------------------------------
# by_session


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=5).filter(any), st.integers(1, 9), st.integers(0, 99))
def test_by_session_draws_every_window_once_in_each_pass(sizes, batch_size, seed):
    index = make_index(sizes)
    sampler = build("by_session", index, seed, batch_size=batch_size)
    steps = sampler.steps_per_epoch()
    plan = batches(sampler, 2 * steps)
    for epoch in (plan[:steps], plan[steps:]):
        assert sorted(np.concatenate(epoch)) == list(range(index.num_items))
        assert all(len(set(owners(index, batch))) == 1 for batch in epoch)


def test_by_session_shuffles_the_sessions_anew_in_each_pass():
    index = make_index([40, 40, 40])
    sampler = build("by_session", index, batch_size=4)
    order = [int(owners(index, batch)[0]) for batch in batches(sampler, 90)]
    assert len({tuple(order[i : i + 30]) for i in (0, 30, 60)}) == 3


def test_by_session_uniform_takes_all_sessions_equally_often_and_each_window_once_a_pass():
    index = make_index([7, 40, 21])
    sampler = build("by_session", index, draw="uniform", batch_size=5)
    plan = batches(sampler, 600)
    sessions = [int(owners(index, batch)[0]) for batch in plan]
    assert Counter(sessions) == {0: 200, 1: 200, 2: 200}
    assert sessions[:30] != sessions[30:60]
    for session, size in enumerate([7, 40, 21]):
        drawn = np.concatenate([batch for batch, owner in zip(plan, sessions, strict=True) if owner == session])
        whole = drawn[: len(drawn) // size * size].reshape(-1, size) - index.offsets[session]
        assert (np.sort(whole, axis=1) == np.arange(size)).all()
        assert (whole[0] != whole[1]).any()


def test_by_session_passes_go_on_when_epochs_are_short():
    index = make_index([30, 10])
    sampler = build("by_session", index, batch_size=4, batches_per_epoch=3)
    steps = -(-30 // 4) + -(-10 // 4)
    assert sorted(np.concatenate(batches(sampler, steps))) == list(range(40))


# ---------------------------------------------------------------------------------------------------------------
# balanced


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=6).filter(any),
    st.sampled_from(["samples", "sessions", "subjects", "units"]),
    st.integers(1, 16),
    st.integers(0, 99),
)
def test_balanced_shares_are_exact_in_every_cycle(sizes, by, batch_size, seed):
    index = make_index(
        sizes, units=[2 + i for i in range(len(sizes))], subjects=[f"m{i % 2}" for i in range(len(sizes))]
    )
    sampler = build("balanced", index, seed, by=by, batch_size=batch_size)
    cycle = index.num_items
    drawn = np.concatenate(batches(sampler, -(-3 * cycle // batch_size)))[: 3 * cycle].reshape(3, cycle)
    total = np.bincount(drawn.ravel(), minlength=cycle)
    for group in np.flatnonzero(sizes):  # passes go on from cycle to cycle
        own = total[index.offsets[group] : index.offsets[group + 1]]
        assert own.max() - own.min() <= 1
    for one in drawn:
        counts = np.bincount(owners(index, one), minlength=len(sizes))
        np.testing.assert_allclose(counts, shares(index, by) * cycle, atol=1)
        times = np.bincount(one, minlength=cycle)
        for group, size in enumerate(sizes):
            own = times[index.offsets[group] : index.offsets[group + 1]]
            if size:  # nothing comes twice more often than anything else of its session
                assert own.max() - own.min() <= 2 if by != "samples" else own.max() == own.min() == 1


def test_shares_are_those_of_the_definition():
    index = make_index([10, 30, 60], units=[5, 1, 4], subjects=["m1", "m1", "m2"])
    np.testing.assert_allclose(shares(index, "samples"), [0.1, 0.3, 0.6])
    np.testing.assert_allclose(shares(index, "sessions"), [1 / 3] * 3)
    np.testing.assert_allclose(shares(index, "subjects"), [1 / 8, 3 / 8, 1 / 2])
    np.testing.assert_allclose(shares(index, "units"), [0.5, 0.1, 0.4])


def test_frames_are_balanced_not_windows():
    """A session whose windows are half masked gets twice the draws."""
    index = make_index([40, 40], length=8, weights=[np.full(40, 8.0), np.full(40, 4.0)])
    np.testing.assert_allclose(shares(index, "sessions"), [1 / 3, 2 / 3])


# ---------------------------------------------------------------------------------------------------------------
# contrast_weighted


def frequencies(sampler, index, steps, start=0):
    items = np.concatenate([at(sampler, start + i) for i in range(steps)])
    return np.bincount(items, minlength=index.num_items) / len(items)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a12_weights_are_a_true_blend(share):
    rng = np.random.default_rng(1)
    scores = [rng.uniform(0, 1, 30) ** 2, rng.uniform(0, 1, 10)]
    scores[0][4:9] = 0.0
    index = make_index([30, 10], scores=scores)
    sampler = build("contrast_weighted", index, warmup=share, batch_size=4000)
    weights = (1 - share) * np.concatenate(scores) + share
    expected = weights / weights.sum()
    found = frequencies(sampler, index, 50)
    np.testing.assert_allclose(found, expected, atol=5 * np.sqrt(expected.max() / 200_000))
    assert (found[expected == 0] == 0).all()


def test_a9_a12_the_share_moves_with_every_optimizer_step_and_reaches_uniform():
    index = make_index([30], scores=[np.repeat([0.0, 1.0], 15)])
    warmup = {"schedule": "ramp", "start": 0.0, "stop": 1.0, "steps": 100}
    sampler = build("contrast_weighted", index, warmup=warmup, batch_size=2000, batches_per_epoch=7)
    for step in (0, 1, 25, 50, 99, 100, 5000):
        share = min(step / 100, 1.0)
        assert sampler.share(Position(step // 7, step % 7, step)) == pytest.approx(share)
        low = (at(sampler, step) < 15).mean()
        assert low == pytest.approx(share / (1 + share), abs=0.05)


@pytest.mark.parametrize(("world", "accumulate"), [(2, 1), (2, 3), (3, 1)])
def test_a9_processes_share_each_global_batch_while_the_share_moves(world, accumulate):
    """Each process plans by itself: together they read the batch of one, each window as often as it was drawn."""
    warmup = {"schedule": "ramp", "start": 0.0, "stop": 1.0, "steps": 4}

    def process(rank):
        index = build_index(dataset(make("m1_a"), make("m2_b")).sources("train", 3))
        sampler = build("contrast_weighted", index, seed=7, warmup=warmup, batch_size=40, batches_per_epoch=6)
        weigh = {"weigh": lambda micros: {}, "start": lambda: (0, 0), "prefetch": 0}
        return index, sampler, PlanLoader(index, sampler, accumulate=accumulate, rank=rank, world_size=world, **weigh)

    index, sampler, _ = process(0)
    read = [list(process(rank)[2]) for rank in range(world)]
    for step in range(6):
        windows = at(sampler, step)
        groups = owners(index, windows)
        whole = Counter(zip(groups.tolist(), (windows - index.offsets[groups]).tolist(), strict=True))
        names = {group.name: number for number, group in enumerate(index.groups)}
        parts = [
            Counter(
                (names[group.name], int(item))
                for micro in steps[step].micros
                for group in micro.groups
                for item in group.items
            )
            for steps in read
        ]
        assert sum(parts, Counter()) == whole
        sizes = [part.total() for part in parts]
        assert max(sizes) - min(sizes) <= accumulate


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_curriculum_is_told_as_it_is_drawn(share):
    scores = [np.linspace(0.0, 1.0, 30), np.linspace(0.5, 0.7, 10)]
    every = np.concatenate(scores)
    sampler = build("contrast_weighted", make_index([30, 10], scores=scores), warmup=share, batch_size=100_000)
    told = sampler.curriculum(Position(0, 0, 0))
    weights = (1 - share) * every + share
    assert told["uniform"] == share
    assert told["contrast"] == pytest.approx((weights * every).sum() / weights.sum() / every.mean(), rel=0.01)
    assert told["contrast"] == pytest.approx(every[at(sampler, 0)].mean() / every.mean(), rel=1e-12)


def test_the_share_may_follow_epochs():
    warmup = {"schedule": "ramp", "start": 0.0, "stop": 1.0, "steps": 2, "clock": "epoch"}
    sampler = build("contrast_weighted", make_index([40]), warmup=warmup, batch_size=4)
    assert sampler.share(Position(1, 5, 0)) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("warmup", "message"),
    [
        (1.5, "between 0 and 1"),
        ({"schedule": "ramp", "start": -0.1, "stop": 1.0, "steps": 5}, "between 0 and 1"),
        ({"schedule": "ramp", "start": 0.0, "stop": 1.0, "steps": 0.5, "clock": "fraction"}, "where the run ends"),
    ],
)
def test_a_warmup_that_is_no_share_is_refused(warmup, message):
    with pytest.raises(ValueError, match=message):
        choice("sampler", "contrast_weighted", warmup=warmup)


def test_no_contrast_at_all_is_an_error():
    with pytest.raises(DataError, match="no training window has any contrast"):
        build("contrast_weighted", make_index([5], scores=[np.zeros(5)]))


def test_a10_high_contrast_windows_come_first():
    """Through a real source: what is drawn is what has the contrast."""
    stim = make().stim.astype(float)
    bright = np.arange(240) % 3 != 0  # most windows, or the median itself would be dim
    stim[~bright] = 127 + 0.05 * (stim[~bright] - 127)
    opened = dataset(make(stim=stim, valid=np.ones(240, bool)))
    source = opened.sources("train", 3)[0]
    index = Index(
        groups=opened.groups,
        offsets=np.array([0, source.num_items]),
        weights=(source.weights(),),
        column_weights=(source.column_weights(),),
        sources=(source,),
        frames_per_item=1,
    )
    sampler = build("contrast_weighted", index, warmup=0.0, batch_size=2000)
    frames = source.gather(at(sampler, 0)).tags["frame"][:, 0].numpy()
    assert bright[frames].mean() > 0.9


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_window_weighs_its_valid_frames_at_every_share(share):
    """A window's frequency is ((1 - a) score + a) times its valid frames; at a = 1 every valid frame comes alike."""
    scores, valid = np.array([0.2, 1.0, 0.2, 0.0]), np.array([32.0, 8.0, 16.0, 4.0])
    index = make_index([3, 1], scores=[scores[:3], scores[3:]], weights=[valid[:3], valid[3:]])
    sampler = build("contrast_weighted", index, warmup=share, batch_size=200_000, batches_per_epoch=1)
    expected = ((1 - share) * scores + share) * valid
    drawn = np.bincount(at(sampler, 0), minlength=4) / sampler._items
    np.testing.assert_allclose(drawn, expected / expected.sum(), atol=0.005)


def test_l5_more_windows_than_float32_can_count():
    """Beyond 2^24 windows: every window can be drawn, each quarter as often as its weights say."""
    num = 2**24 + 64
    scores = np.where(np.arange(num) % 2 == 0, 0.3, 1.0)
    index = make_index([num], scores=[scores], weights=[np.ones(num)])
    sampler = build("contrast_weighted", index, warmup=0.0, batch_size=400_000, batches_per_epoch=1)
    items = at(sampler, 0)
    quarters = np.bincount(items // (num // 4 + 1), minlength=4) / len(items)
    np.testing.assert_allclose(quarters, 0.25, atol=0.004)
    for quarter in range(4):
        inside = items[items // (num // 4 + 1) == quarter]
        assert (inside % 2 == 0).mean() == pytest.approx(0.3 / 1.3, abs=0.007)
    for name in ("by_session", "balanced"):
        batch = at(build(name, make_index([num], scores=[scores], weights=[np.ones(num)]), batch_size=1000), 9000)
        assert len(set(batch.tolist())) == 1000
