"""Sampler `contrast_weighted`: windows of high contrast first, fading to all alike."""

from __future__ import annotations

import numpy as np

from visioncore_engine.contracts import Position, SamplerFacts
from visioncore_engine.data import generator
from visioncore_engine.errors import DataError, Problem
from visioncore_engine.schedule import Clock, value_at
from visioncore_neural.options.sampler import ContrastWeightedOptions
from visioncore_neural.samplers.plan import batch_items, group_sizes, steps_of_one_pass

__all__ = ["ContrastWeighted"]


class ContrastWeighted:
    """Draw windows with replacement, each with weight ``(1 - a) * score + a``; `a` is read at every draw.

    The score is that of the window itself (`Source.score("contrast")`), so it belongs to the window by construction.
    Per session a float64 prefix sum of scores is kept; the blended prefix ``(1 - a) * S(i) + a * i`` is never written
    down but searched by bisection, so a batch costs O(batch · log windows) at any `a`, and nothing ends at 2^24.

    Parameters
    ----------
    options, facts
        The schedule of `a`, and the index and seed.

    Raises
    ------
    DataError
        Where no window has any contrast.
    """

    def __init__(self, options: ContrastWeightedOptions, facts: SamplerFacts) -> None:
        self._index, self._seed, self._warmup = facts.index, facts.seed, options.warmup
        self._items = batch_items(facts.index, options.batch_size)
        self._steps = steps_of_one_pass(facts.index.num_items, self._items, options.batches_per_epoch)
        self._sizes = group_sizes(facts.index)
        self._prefix = [_prefix(source.score("contrast")) for source in facts.index.sources]
        self._totals = np.array([prefix[-1] for prefix in self._prefix])
        if not self._totals.sum() > 0:
            raise DataError(Problem(key="sampler", what="no training window has any contrast"))

    def steps_per_epoch(self) -> int:
        """Return the steps as asked, else as many as draw the number of all windows."""
        return self._steps

    def share(self, position: Position) -> float:
        """Return `a` at a position of the plan."""
        epoch = position.epoch + position.step / self._steps
        return value_at(self._warmup, Clock(step=position.global_step, epoch=epoch, fraction=0.0))

    def batch(self, position: Position) -> np.ndarray:
        """Windows of the batch, int64 (B,)."""
        rng = generator("contrast_weighted", self._seed, position.epoch, position.step)
        share = self.share(position)
        mass = (1.0 - share) * self._totals + share * self._sizes
        ends = np.cumsum(mass)
        groups = _at(ends, rng.random(self._items) * ends[-1])
        inside = rng.random(self._items)
        items = np.empty(self._items, dtype=np.int64)
        for group in np.unique(groups):
            members = groups == group
            found = _bisect(self._prefix[group], share, inside[members] * mass[group])
            items[members] = self._index.offsets[group] + found
        return items


def _prefix(scores: np.ndarray) -> np.ndarray:
    """Sum the scores before each window, and of all of them: float64 (n + 1,)."""
    prefix = np.zeros(len(scores) + 1)
    np.cumsum(scores, dtype=np.float64, out=prefix[1:])
    return prefix


def _at(ends: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """First position whose end lies above each target; positions of no mass are never found."""
    last = int(np.searchsorted(ends, ends[-1], side="left"))
    return np.minimum(np.searchsorted(ends, targets, side="right"), last)


def _bisect(prefix: np.ndarray, share: float, targets: np.ndarray) -> np.ndarray:
    """Windows whose blended mass holds each target: the last i with (1 - a) S(i) + a i <= target."""
    low = np.zeros(len(targets), dtype=np.int64)
    high = np.full(len(targets), len(prefix) - 1, dtype=np.int64)
    while np.any(high - low > 1):
        middle = (low + high) // 2
        below = (1.0 - share) * prefix[middle] + share * middle <= targets
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low
