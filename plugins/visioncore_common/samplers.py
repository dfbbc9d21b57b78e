"""Samplers that look at nothing but the number of windows."""

from __future__ import annotations

import numpy as np

from visioncore_engine.contracts import Position, SamplerFacts
from visioncore_engine.data import Permutation
from visioncore_engine.errors import ConfigError, Problem
from visioncore_engine.options import SamplerOptions

__all__ = ["Sequential", "Shuffled", "items_per_batch"]


def items_per_batch(batch_size: int, frames_per_item: int) -> int:
    """Windows in a batch of `batch_size` predicted frames.

    Raises
    ------
    ConfigError
        Where a batch would end inside a window.
    """
    if batch_size % frames_per_item:
        below = batch_size - batch_size % frames_per_item
        nearest = " or ".join(str(size) for size in (below, below + frames_per_item) if size)
        raise ConfigError(
            Problem(
                what=f"a window has {frames_per_item} predicted frames, and a batch holds whole windows",
                key="sampler.batch_size",
                given=str(batch_size),
                todo=f"write {nearest}",
            )
        )
    return batch_size // frames_per_item


class _Passes:
    """Passes over all windows, one after another: batch i of the run is batch i mod b of pass i div b.

    With the default `batches_per_epoch` a pass is an epoch. With more or fewer, the pass goes on where the epoch before
    it ended, so that no window comes again before every other has come.
    """

    def __init__(self, options: SamplerOptions, facts: SamplerFacts) -> None:
        self._num_items = facts.index.num_items
        self._size = items_per_batch(options.batch_size, facts.index.frames_per_item)
        self._steps_per_pass = -(-self._num_items // self._size)
        self._steps = options.batches_per_epoch or self._steps_per_pass
        self._seed = facts.seed

    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch."""
        return self._steps

    def _place(self, position: Position) -> tuple[int, np.ndarray]:
        """Pass that a batch belongs to, and its places in that pass, int64 (B,)."""
        number, step = divmod(position.epoch * self._steps + position.step, self._steps_per_pass)
        start = step * self._size
        return number, np.arange(start, min(start + self._size, self._num_items), dtype=np.int64)


class Sequential(_Passes):
    """Every window once per pass, in the order of the index."""

    def batch(self, position: Position) -> np.ndarray:
        """Windows of the global batch, int64 (B,); the last batch of a pass may be shorter."""
        return self._place(position)[1]


class Shuffled(_Passes):
    """Every window once per pass, in an order keyed by (seed, pass); no list of windows is ever made."""

    def batch(self, position: Position) -> np.ndarray:
        """Windows of the global batch, int64 (B,); the last batch of a pass may be shorter."""
        number, places = self._place(position)
        return Permutation(self._num_items, ("shuffled", self._seed, number))(places)
