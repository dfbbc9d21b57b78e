from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visioncore_common.samplers import Sequential, Shuffled
from visioncore_engine.contracts import Position
from visioncore_engine.errors import ConfigError
from visioncore_engine.options import SamplerOptions


def epoch_of(sampler, epoch):
    return [sampler.batch(Position(epoch, step, 0)) for step in range(sampler.steps_per_epoch())]


@pytest.mark.parametrize("sampler", [Shuffled, Sequential])
@given(num_items=st.integers(1, 200), batch_size=st.integers(1, 64), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_epoch_is_every_window_once(sampler, num_items, batch_size, seed, sampler_facts):
    built = sampler(SamplerOptions(batch_size=batch_size), sampler_facts(num_items, seed=seed))
    batches = epoch_of(built, 3)
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert 0 < len(batches[-1]) <= batch_size
    assert np.array_equal(np.sort(np.concatenate(batches)), np.arange(num_items))


def test_one_seed_repeats_and_two_epochs_and_two_seeds_differ(sampler_facts):
    def order(seed, epoch):
        return np.concatenate(epoch_of(Shuffled(SamplerOptions(batch_size=7), sampler_facts(100, seed=seed)), epoch))

    assert np.array_equal(order(1, 0), order(1, 0))
    assert not np.array_equal(order(1, 0), order(1, 1))
    assert not np.array_equal(order(1, 0), order(2, 0))


@given(steps=st.integers(1, 40), num_items=st.integers(1, 60))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_comes_again_before_everything_has_come(steps, num_items, sampler_facts):
    """Whether an epoch is shorter or longer than a pass."""
    sampler = Shuffled(SamplerOptions(batch_size=4, batches_per_epoch=steps), sampler_facts(num_items))
    batches = [batch for epoch in range(4) for batch in epoch_of(sampler, epoch)]
    per_pass = -(-num_items // 4)
    for start in range(0, len(batches), per_pass):
        drawn = np.concatenate(batches[start : start + per_pass])
        assert len(np.unique(drawn)) == len(drawn)
        if start + per_pass <= len(batches):
            assert np.array_equal(np.sort(drawn), np.arange(num_items))


def test_a_longer_epoch_goes_on_with_another_order(sampler_facts):
    sampler = Shuffled(SamplerOptions(batch_size=10, batches_per_epoch=20), sampler_facts(100))
    batches = epoch_of(sampler, 0)
    assert not np.array_equal(np.concatenate(batches[:10]), np.concatenate(batches[10:]))


def test_batch_size_counts_frames(sampler_facts):
    sampler = Shuffled(SamplerOptions(batch_size=96), sampler_facts(50, frames_per_item=32))
    assert len(sampler.batch(Position(0, 0, 0))) == 3
    assert sampler.steps_per_epoch() == 17


@pytest.mark.parametrize(("size", "todo"), [(100, "write 96 or 128"), (20, "write 32")])
def test_a_batch_that_would_cut_a_window_is_refused_with_the_nearest_sizes(size, todo, sampler_facts):
    with pytest.raises(ConfigError, match=f"sampler.batch_size.*32 predicted frames.*got {size}.*{todo}$"):
        Shuffled(SamplerOptions(batch_size=size), sampler_facts(50, frames_per_item=32))


def test_b7_more_than_two_to_the_24_windows(sampler_facts):
    """torch.multinomial refuses 2^24 categories; a plan over 2^40 windows costs what a batch costs."""
    sampler = Shuffled(SamplerOptions(batch_size=512), sampler_facts(2**40))
    drawn = np.concatenate([sampler.batch(Position(0, step, step)) for step in range(8)])
    assert len(np.unique(drawn)) == 4096
    assert abs(np.mean(drawn >= 2**39) - 0.5) < 0.04


def test_lightning_14_the_order_does_not_depend_on_a_call_of_set_epoch(sampler_facts):
    """Lightning never calls `set_epoch` of a custom batch sampler; a plan takes the epoch as its argument."""
    sampler = Shuffled(SamplerOptions(batch_size=10), sampler_facts(1000))
    assert not np.array_equal(sampler.batch(Position(0, 0, 0)), sampler.batch(Position(1, 0, 100)))
    assert np.array_equal(sampler.batch(Position(7, 42, 0)), sampler.batch(Position(7, 42, 999)))
