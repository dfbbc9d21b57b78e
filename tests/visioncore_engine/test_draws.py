from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visioncore_engine.data.draws import generator, mix, seed_sequence, uniforms

PARTS = st.one_of(st.integers(0, 2**64 - 1), st.text(max_size=5))


@given(one=st.lists(PARTS, max_size=4), two=st.lists(PARTS, max_size=4))
def test_different_keys_are_different_streams(one, two):
    same = generator(*one).random(4).tolist() == generator(*two).random(4).tolist()
    assert same == (one == two)


@pytest.mark.parametrize(("one", "two"), [((1,), (1, 0)), ((2**32,), (0, 1)), ((), (0,)), ((1, 2), (2, 1))])
def test_keys_that_numpy_takes_for_one_seed_are_kept_apart(one, two):
    assert not np.array_equal(seed_sequence(*one).generate_state(4), seed_sequence(*two).generate_state(4))


def test_peers_11_words_in_a_key_mean_the_same_in_every_process():
    """`hash(path)` as a seed gave three values in three processes."""
    program = "from visioncore_engine.data.draws import generator; print(generator('a', 3).integers(2**60))"
    drawn = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout
        for _ in range(2)
    }
    assert drawn == {f"{generator('a', 3).integers(2**60)}\n"}


@pytest.mark.parametrize("part", [-1, 2**64])
def test_integers_outside_are_refused(part):
    with pytest.raises(ValueError, match="2\\^64"):
        generator(part)


def test_an_items_draws_do_not_depend_on_its_company():
    items = np.array([5, 0, 2**40, 17])
    whole = uniforms(items, 3, "shift", 1)
    assert whole.shape == (4, 3)
    assert np.array_equal(uniforms(items[[2, 0]], 3, "shift", 1), whole[[2, 0]])
    assert np.array_equal(uniforms(items, 2, "shift", 1), whole[:, :2])


def test_draws_are_uniform_and_independent():
    draws = uniforms(np.arange(40_000), 4, "law")
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.apply_along_axis(lambda column: np.histogram(column, 20, (0, 1))[0], 0, draws)
    statistic = ((counts - 2000) ** 2 / 2000).sum(axis=0)
    assert np.all(np.abs(statistic - 19) / math.sqrt(38) < 4.5)
    other = uniforms(np.arange(40_000), 1, "law", 1)
    correlations = np.corrcoef(np.hstack([draws, other, [*draws[1:].tolist(), [0.5] * 4]]).T)
    assert np.abs(correlations - np.eye(len(correlations))).max() < 0.025


def test_mix_is_a_bijection_with_full_avalanche():
    values = np.arange(1 << 12, dtype=np.uint64)
    mixed = mix(values)
    assert len(np.unique(mixed)) == values.size
    flipped = mix(values ^ np.uint64(1)) ^ mixed
    assert 30 < np.mean([int(value).bit_count() for value in flipped]) < 34
