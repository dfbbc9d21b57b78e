"""Draws by two weightings at once: how often each window comes, on both roads, and beyond what float32 can count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roads import ROADS, road

from visioncore_engine.data import Blend, generator


def drawn(blend, num, share, mode, key=0):
    with road(mode):
        return blend.draw(generator("test", key), num, share)


def chi_square(counts: np.ndarray, expected: np.ndarray) -> float:
    """Deviation of a chi-square statistic from its mean, in its standard deviations."""
    freedom = len(counts) - 1
    return float((((counts - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 2**16))
def test_both_roads_draw_the_same_windows_and_none_of_no_weight(sizes, share, seed):
    chance = np.random.default_rng(seed)
    first, second = ([chance.random(size) * (chance.random(size) < 0.6) for size in sizes] for _ in range(2))
    weights = (1 - share) * np.concatenate(first) + share * np.concatenate(second)
    if not weights.sum() > 0:
        return
    one, other = (drawn(Blend(first, second), 200, share, mode, seed) for mode in ROADS)
    np.testing.assert_array_equal(one, other)
    assert (weights[one] > 0).all()


def test_two_draws_of_a_generator_are_one_of_twice_as_many():
    """The plan of a seed: groups take the first draws, places the rest."""
    rng = generator("test")
    halves = np.concatenate([rng.random(7), rng.random(7)])
    np.testing.assert_array_equal(generator("test").random(14), halves)


@pytest.mark.parametrize("mode", ROADS)
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_windows_come_as_often_as_they_weigh(mode, share):
    chance = np.random.default_rng(5)
    first, second = ([chance.uniform(0.1, 1, size) for size in (70, 1, 29)] for _ in range(2))
    weights = (1 - share) * np.concatenate(first) + share * np.concatenate(second)
    counts = np.bincount(drawn(Blend(first, second), 200_000, share, mode), minlength=100)
    assert abs(chi_square(counts, 200_000 * weights / weights.sum())) < 4


@pytest.mark.parametrize("mode", ROADS)
def test_l5_thirty_million_windows_come_as_often_as_they_weigh(mode):
    """Beyond 2^24: in float32, the running sum of these weights stands still long before the last window."""
    num, draws, bins = 30_000_000, 400_000, 64
    weights = np.where(np.arange(num) % 2 == 0, 0.3, 1.0)
    items = drawn(Blend([weights], [weights]), draws, 0.5, mode)
    counts = np.bincount(items // (num // bins + 1) * 2 + items % 2, minlength=2 * bins)
    edges = np.arange(bins + 1) * (num // bins + 1)
    sizes = np.diff(np.minimum(edges, num))
    expected = (sizes[:, None] * np.array([0.3, 1.0]) / 2).ravel()
    assert abs(chi_square(counts, draws * expected / expected.sum())) < 4
    running = np.cumsum(weights, dtype=np.float32)
    assert running[-1] < 0.9 * weights.sum()  # the float32 sums that this test would find out
