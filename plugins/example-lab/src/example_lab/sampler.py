"""The sampler `bootstrap`."""

from __future__ import annotations

import math

import numpy as np

from example_lab.options import BootstrapOptions
from visioncore_engine.contracts import Position, SamplerFacts
from visioncore_engine.data import generator

__all__ = ["Bootstrap"]


class Bootstrap:
    """Windows drawn with replacement, window i with probability proportional to ``valid_i ** power``.

    A batch is a function of (seed, position) alone, so that a resumed run draws what the unbroken one would have drawn.
    The search for a batch of B among n windows takes O(B log n); the table of n sums is made once.

    Parameters
    ----------
    options
        What the run file says.
    facts
        The training windows and the seed of the run.
    """

    def __init__(self, options: BootstrapOptions, facts: SamplerFacts) -> None:
        valid = np.concatenate(facts.index.weights)  # float64 (n,)
        weights = np.where(valid > 0, valid, 1.0) ** options.power * (valid > 0)  # 0 ** 0 is 1, and must not be
        self._sums = np.cumsum(weights)
        self._seed = facts.seed
        self._num_windows = max(1, options.batch_size // facts.index.frames_per_item)
        self._steps = options.batches_per_epoch or max(1, math.ceil(valid.sum() / options.batch_size))

    def steps_per_epoch(self) -> int:
        """Optimizer steps that draw as many predictions as there are valid ones, unless the run file says a number."""
        return self._steps

    def batch(self, position: Position) -> np.ndarray:
        """Windows of the batch at `position`, int64 (B,)."""
        draws = generator("bootstrap", self._seed, position.epoch, position.step).random(self._num_windows)
        windows: np.ndarray = np.searchsorted(self._sums, draws * self._sums[-1], side="right").astype(np.int64)
        return windows
