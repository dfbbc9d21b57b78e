"""The sampler `bootstrap` draws what it says, whatever the power."""

from __future__ import annotations

import numpy as np
import pytest

from example_lab.options import BootstrapOptions
from example_lab.sampler import Bootstrap
from visioncore_engine.contracts import GroupSpec, Index, Position, SamplerFacts

WEIGHTS = (np.array([4.0, 0.0, 2.0]), np.array([1.0, 1.0]))


def sampler(**options: float) -> Bootstrap:
    groups = tuple(GroupSpec(name=name, labels={}, input_shape=(1, 1, 1), targets={}) for name in ("a", "b"))
    index = Index(
        groups=groups,
        offsets=np.array([0, 3, 5]),
        weights=WEIGHTS,
        column_weights=({}, {}),
        sources=(),
        frames_per_item=4,
    )
    return Bootstrap(BootstrapOptions(**options), SamplerFacts(index=index, seed=7))


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_frequencies_follow_the_power_of_valid_predictions(power: float) -> None:
    windows = sampler(batch_size=400_000, power=power).batch(Position(epoch=0, step=0, global_step=0))
    valid = np.concatenate(WEIGHTS)
    expected = np.where(valid > 0, valid, 1) ** power * (valid > 0)
    expected /= expected.sum()
    frequencies = np.bincount(windows, minlength=5) / len(windows)
    assert frequencies[1] == 0  # a window without a valid prediction is never drawn
    np.testing.assert_allclose(frequencies, expected, atol=5 * np.sqrt(0.25 / len(windows)))


def test_batches_count_predictions_and_an_epoch_holds_as_many_as_the_data() -> None:
    assert len(sampler(batch_size=40).batch(Position(0, 0, 0))) == 10
    assert len(sampler(batch_size=1).batch(Position(0, 0, 0))) == 1
    assert sampler(batch_size=3).steps_per_epoch() == 3  # 8 valid predictions
    assert sampler(batch_size=3, batches_per_epoch=11).steps_per_epoch() == 11
