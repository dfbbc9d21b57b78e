from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roads import ROADS, road

from visioncore_engine.data import Permutation


def chi_square(counts: np.ndarray) -> float:
    """Standard score of Pearson's statistic against a uniform expectation."""
    expected = counts.sum() / counts.size
    statistic = float(((counts - expected) ** 2 / expected).sum())
    freedom = counts.size - 1
    return (statistic - freedom) / math.sqrt(2 * freedom)


@given(size=st.integers(1, 5000), key=st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 1000)))
@settings(max_examples=80, deadline=None)
def test_it_is_a_bijection_of_every_size(size, key):
    values = Permutation(size, key)(np.arange(size))
    assert values.dtype == np.int64
    assert np.array_equal(np.sort(values), np.arange(size))


@given(
    size=st.one_of(st.integers(1, 5000), st.sampled_from([2**31 - 1, 2**32 + 7, 2**40 + 3, 2**62])),
    key=st.integers(0, 2**32 - 1),
    seed=st.integers(0, 999),
)
@settings(max_examples=80, deadline=None)
def test_the_compiled_road_gives_the_same_values(size, key, seed):
    positions = np.random.default_rng(seed).integers(0, size, (3, 20))
    found = []
    for mode in ROADS:
        with road(mode):
            found.append(Permutation(size, (key,))(positions))
    assert found[0].dtype == found[1].dtype == np.int64
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("size", [4095, 4096, 4097, 65536, 1_000_003])
def test_it_is_a_bijection_on_both_sides_of_every_boundary(size):
    assert np.array_equal(np.sort(Permutation(size, (3,))(np.arange(size))), np.arange(size))


@given(size=st.sampled_from([2**31 - 1, 2**31 + 11, 2**40 + 3, 2**62]), start=st.integers(0, 2**31 - 2000))
@settings(max_examples=30, deadline=None)
def test_beyond_two_to_the_31_values_stay_inside_and_never_meet(size, start):
    values = Permutation(size, (start,))(np.arange(start, start + 1000))
    assert values.min() >= 0
    assert values.max() < size
    assert len(np.unique(values)) == 1000


def test_b7_a_pass_over_more_than_two_to_the_24_windows_is_uniform_over_the_range():
    size = 2**24 * 16
    values = Permutation(size, ("b7", 1))(np.arange(40_000))
    assert abs(chi_square(np.bincount(values * 16 // size, minlength=16))) < 4


def test_what_a_position_holds_does_not_depend_on_what_else_is_asked():
    permutation = Permutation(10_007, (1, 2))
    whole = permutation(np.arange(10_007))
    order = np.random.default_rng(0).permutation(10_007)
    assert np.array_equal(permutation(order), whole[order])
    assert np.array_equal(Permutation(10_007, (1, 2))(np.arange(50).reshape(5, 10)), whole[:50].reshape(5, 10))


@pytest.mark.parametrize("size", [2, 7, 16, 100, 5000])
def test_every_value_is_equally_likely_to_come_first(size):
    first = [int(Permutation(size, ("first", key))(np.array([0]))[0]) for key in range(6000)]
    bins = np.bincount(np.array(first) * min(size, 50) // size, minlength=min(size, 50))
    assert abs(chi_square(bins)) < 4


def test_every_order_of_five_values_is_equally_likely():
    orders = dict.fromkeys(itertools.permutations(range(5)), 0)
    for key in range(9000):
        orders[tuple(Permutation(5, (key,))(np.arange(5)).tolist())] += 1
    assert abs(chi_square(np.array(list(orders.values())))) < 4


@pytest.mark.parametrize("size", [1000, 20_000])
def test_neighbours_do_not_stay_neighbours(size):
    values = Permutation(size, ("gaps",))(np.arange(size))
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 4 / math.sqrt(size)
    fixed = np.count_nonzero(values == np.arange(size))
    assert fixed < 8  # Poisson with mean 1


def test_two_keys_give_unrelated_orders():
    one, two = (Permutation(20_000, ("k", 7, epoch))(np.arange(20_000)) for epoch in (0, 1))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.03
    assert not np.array_equal(Permutation(50, (1,))(np.arange(50)), Permutation(50, (1, 0))(np.arange(50)))


def test_memory_does_not_grow_with_the_size():
    positions = np.arange(256)
    Permutation(10, (0,))(positions % 10)
    tracemalloc.start()
    Permutation(2**40, (0,))(positions)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


def test_positions_outside_and_impossible_sizes_are_refused():
    with pytest.raises(IndexError, match="0 … 9"):
        Permutation(10, (0,))(np.array([10]))
    with pytest.raises(IndexError):
        Permutation(10, (0,))(np.array([-1]))
    with pytest.raises(ValueError, match="not 0"):
        Permutation(0, (0,))
    assert Permutation(10, (0,))(np.array([], dtype=np.int64)).shape == (0,)
