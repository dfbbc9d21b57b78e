"""Laws of samplers: the plan is a pure function, whole and of the declared frequencies, however many windows."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np

from visioncore_engine.contracts import Index, Position, Sampler, SamplerFacts
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.observed import difference
from visioncore_engine.testing.scenes.sampler import FRAMES, SamplerScene, big_index, plan

__all__ = [
    "batch_size_is_kept",
    "cost_is_that_of_a_batch",
    "draws_follow_the_weights",
    "epochs_differ_where_seeds_do",
    "every_window_comes",
    "index_is_left_alone",
    "plan_goes_beyond_16_million_windows",
    "plan_is_pure",
    "resumed_plan_is_the_same",
    "steps_per_epoch_hold",
    "windows_are_in_range",
]

_BIG = 1 << 24
_MANY = 150  # batches of 16 windows


@check("sampler")
def plan_is_pure(case: Case) -> None:
    """A batch depends on the seed and its position alone: not on what was asked before, nor how often."""
    built = case.build()
    steps = built.steps_per_epoch()
    forward = plan(built, range(2 * steps))
    other = case.build()
    for number in (*reversed(range(2 * steps)), *range(0, 2 * steps, 3)):
        batch = other.batch(Position(number // steps, number % steps, number))
        found = difference(forward[number], batch)
        assert found is None, f"batch {number} is another one when it is asked for in another order: {found}"


@check("sampler")
def windows_are_in_range(case: Case) -> None:
    """A batch is int64, one-dimensional and not empty, and holds numbers of the index."""
    scene = _scene(case)
    index = scene.facts.index
    built: Sampler = case.build(scene)
    for batch in plan(built, range(3 * built.steps_per_epoch())):
        assert isinstance(batch, np.ndarray), f"a batch is an array, not a {type(batch).__name__}"
        assert batch.dtype == np.int64, f"a batch is int64, not {batch.dtype}"
        assert batch.ndim == 1, f"a batch has one axis, not shape {batch.shape}"
        assert batch.size, "a batch is empty"
        assert batch.min() >= 0, f"a batch names the window {batch.min()}"
        assert batch.max() < index.num_items, f"a batch names the window {batch.max()} of {index.num_items}"


@check("sampler")
def every_window_comes(case: Case) -> None:
    """Every window with a valid prediction comes up, however short the epochs are."""
    scene = _scene(case)
    index = scene.facts.index
    valid = np.concatenate(index.weights) > 0
    for steps in (None, 2):
        counts = _counts(case.build(scene, batch_size=16 * FRAMES, batches_per_epoch=steps), index, _MANY)
        missing = np.flatnonzero(valid & (counts == 0))
        in_short = f", in epochs of {steps} steps" if steps else ""
        assert not missing.size, f"windows {missing.tolist()} never came in {int(counts.sum())} draws{in_short}"


@check("sampler")
def draws_follow_the_weights(case: Case) -> None:
    """Draws are as frequent as declared; without a declaration, alike for windows, valid predictions or in groups."""
    scene = _scene(case)
    index = scene.facts.index
    counts = _counts(case.build(scene, batch_size=16 * FRAMES), index, _MANY)
    if scene.frequencies is not None:
        wanted = {"as declared": scene.frequencies(case.choose().options, index)}
    else:
        wanted = dict(_usual(counts, index))
    distances = {name: _distance(counts, share) for name, share in wanted.items()}
    assert min(distances.values()) < 5, (
        "the draws follow none of these frequencies (z of chi-square): "
        + ", ".join(f"{name} {value:.1f}" for name, value in distances.items())
        + "; declare those of the sampler with a scene: SamplerScene(frequencies=…)"
    )


@check("sampler")
def epochs_differ_where_seeds_do(case: Case) -> None:
    """A sampler that draws gives two epochs, and two seeds, that differ; one that does not, neither."""
    scene = _scene(case)
    one = case.build(scene, batch_size=8 * FRAMES)
    other = case.choose(batch_size=8 * FRAMES).build(SamplerFacts(scene.facts.index, scene.facts.seed + 1))
    steps = one.steps_per_epoch()
    epochs = [plan(one, range(number * steps, (number + 1) * steps)) for number in range(3)]
    fixed = difference(epochs[0], plan(other, range(steps))) is None
    for first, second in itertools.combinations(epochs, 2):
        alike = difference(first, second) is None
        assert fixed or not alike, "two epochs have the same batches in the same order"
        assert alike or not fixed, "epochs differ, and seeds do not: the seed of the run is not in the key of its draws"
    assert len({batch.tobytes() for batch in epochs[0]}) > 1, "all batches of an epoch are the same"


@check("sampler")
def steps_per_epoch_hold(case: Case) -> None:
    """`batches_per_epoch` is the number of steps; by default an epoch draws about as much as there is."""
    scene = _scene(case)
    valid = sum(float(weights.sum()) for weights in scene.facts.index.weights)
    assert case.build(scene, batches_per_epoch=5).steps_per_epoch() == 5, "`batches_per_epoch` is not kept"
    built = case.build(scene, batch_size=4 * FRAMES)
    steps = built.steps_per_epoch()
    assert isinstance(steps, int), f"steps_per_epoch() is a {type(steps).__name__}"
    drawn = sum(map(len, plan(built, range(steps)))) * FRAMES
    most = 1.25 * scene.facts.index.num_items * FRAMES + 4 * FRAMES
    assert valid <= drawn + 4 * FRAMES <= most, f"an epoch draws {drawn} predictions of {valid:.0f} valid ones"
    assert built.steps_per_epoch() == steps, "steps_per_epoch() changes"


@check("sampler")
def batch_size_is_kept(case: Case) -> None:
    """A batch holds `batch_size` predicted frames; only the last of a pass may hold fewer, none more."""
    for windows in (1, 2, 5):
        built = case.build(batch_size=windows * FRAMES)
        sizes = [len(batch) for batch in plan(built, range(2 * built.steps_per_epoch()))]
        assert max(sizes) == windows, (
            f"batches of {windows * FRAMES} frames hold up to {max(sizes)} windows of {FRAMES}"
        )
        assert sum(size == windows for size in sizes) >= len(sizes) // 2, f"most batches are short of {windows} windows"


@check("sampler")
def resumed_plan_is_the_same(case: Case) -> None:
    """Resumed in the middle of an epoch, in a process that planned nothing, the rest of the plan is the same."""
    built = case.build(batches_per_epoch=7)
    whole = plan(built, range(21))
    for start in (1, 6, 7, 11):
        tail = plan(case.build(batches_per_epoch=7), range(start, 21))
        found = difference(whole[start:], tail)
        assert found is None, f"resumed at step {start}, the plan goes on otherwise: {found}"


@check("sampler")
def index_is_left_alone(case: Case) -> None:
    """The weights, offsets and scores of the index are not changed."""
    scene, untouched = _scene(case), _scene(case)
    built = case.build(scene)
    plan(built, range(built.steps_per_epoch()))
    found = difference(_arrays(untouched.facts.index), _arrays(scene.facts.index))
    assert found is None, f"the sampler changes the index, which others use: {found}"


@check("sampler")
def plan_goes_beyond_16_million_windows(case: Case) -> None:
    """With more than 2^24 windows the last are drawn as well, those of odd and of even number."""
    index = big_index()
    built = case.choose(batch_size=512 * FRAMES, batches_per_epoch=_BIG).build(SamplerFacts(index, 3))
    steps = -(-index.num_items // 512)
    numbers = [0, steps // 3, steps - 2, *range(steps - 12, steps - 2)]
    drawn = np.concatenate([built.batch(Position(0, number, number)) for number in numbers])
    assert drawn.min() >= 0, "a window before the first"
    assert drawn.max() < index.num_items, "a window after the last"
    beyond = drawn[drawn >= index.offsets[1] + _BIG]
    assert beyond.size, f"none of the last windows among {drawn.size} draws: some sum or number is float32"
    odd = int((beyond % 2).sum())
    assert 0 < odd < beyond.size, "only every other window is drawn beyond 2^24: some sum or number is float32"


@check("sampler")
def cost_is_that_of_a_batch(case: Case) -> None:
    """Planning a batch of 2^24 windows takes the memory of a batch, not of a list of all windows."""
    index = big_index()
    built = case.choose(batch_size=64 * FRAMES, batches_per_epoch=100).build(SamplerFacts(index, 3))
    built.batch(Position(0, 0, 0))
    tracemalloc.start()
    try:
        for step in (1, 50, 99):
            built.batch(Position(2, step, 200 + step))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20, f"a batch of 64 windows took {peak / 2**20:.0f} MiB: work must grow with the batch alone"


def _scene(case: Case) -> SamplerScene:
    scene = case.scene_of()
    assert isinstance(scene, SamplerScene), "the scene of a sampler is a SamplerScene"
    return scene


def _arrays(index: Index) -> list[Any]:
    return [index.offsets, list(index.weights), [source.score("any") for source in index.sources]]


def _counts(sampler: Sampler, index: Index, num_batches: int) -> np.ndarray:
    """How often each window is drawn in many batches, float64 (n,)."""
    drawn = np.concatenate(plan(sampler, range(num_batches)))
    return np.bincount(drawn, minlength=index.num_items).astype(np.float64)


def _usual(counts: np.ndarray, index: Index) -> Iterator[tuple[str, np.ndarray]]:
    """Frequencies that need no declaration."""
    weights = np.concatenate(index.weights)
    yield "windows alike", np.ones(len(weights))
    yield "valid predictions alike", weights
    bounds = list(itertools.pairwise(index.offsets.tolist()))
    bounds = [(start, stop) for start, stop in bounds if stop > start]
    of_groups = [np.full(stop - start, counts[start:stop].mean()) for start, stop in bounds]
    yield "windows of each group alike", np.concatenate(of_groups)
    shares = [counts[start:stop].sum() * weights[start:stop] / weights[start:stop].sum() for start, stop in bounds]
    yield "valid predictions of each group alike", np.concatenate(shares)


def _distance(counts: np.ndarray, shares: np.ndarray) -> float:
    """Chi-square of counts against shares, in standard deviations above its mean; inf for what must never come."""
    expected = shares / shares.sum() * counts.sum()
    if counts[expected == 0].any():
        return float("inf")
    expected, counts = expected[expected > 0], counts[expected > 0]
    freedom = max(len(counts) - 1, 1)
    statistic = float((np.square(counts - expected) / expected).sum())
    return (statistic - freedom) / float(np.sqrt(2 * freedom))
