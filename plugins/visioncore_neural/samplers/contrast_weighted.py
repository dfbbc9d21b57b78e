"""Sampler `contrast_weighted`: windows of high contrast first, fading to all alike."""

from __future__ import annotations

import numpy as np

from visioncore_engine.contracts import Position, SamplerFacts
from visioncore_engine.data import generator
from visioncore_engine.errors import DataError, Problem
from visioncore_engine.schedule import Clock, value_at
from visioncore_neural.options.sampler import ContrastWeightedOptions
from visioncore_neural.samplers.plan import batch_items, steps_of_one_pass

__all__ = ["ContrastWeighted"]


class ContrastWeighted:
    """Draw windows with replacement, each with weight ``((1 - a) * score + a) * valid``; `a` is read at every draw.

    The score is that of the window itself (`Source.score("contrast")`), so it belongs to the window by construction;
    `valid` counts its valid frames, so at ``a = 1`` every valid frame comes alike. Per session two float64 prefix sums
    are kept, S of ``score * valid`` and V of `valid`; the blend ``(1 - a) * S(i) + a * V(i)`` is never written down but
    searched by bisection, so a batch costs O(batch · log windows) at any `a`, and nothing ends at 2^24.

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
        scored = zip(facts.index.sources, facts.index.weights, strict=True)
        sums = [_prefix(source.score("contrast") * valid) for source, valid in scored]
        self._scores = np.concatenate(sums)
        self._valid = np.concatenate([_prefix(valid) for valid in facts.index.weights])
        # A session's sums have one entry more than it has windows: where they begin and end.
        self._begin = facts.index.offsets[:-1] + np.arange(len(sums))
        self._end = facts.index.offsets[1:] + np.arange(len(sums))
        self._totals = np.stack([self._scores[self._end], self._valid[self._end]])
        if not self._totals[0].sum() > 0:
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
        mass = np.array([1.0 - share, share]) @ self._totals
        ends = np.cumsum(mass)
        groups = _at(ends, rng.random(self._items) * ends[-1])
        targets = rng.random(self._items) * mass[groups]
        found = _bisect(self._scores, self._valid, share, targets, low=self._begin[groups], high=self._end[groups])
        return np.asarray(found - groups)  # each session before it has one sum too many


def _prefix(values: np.ndarray) -> np.ndarray:
    """Sum the values before each window, and of all of them: float64 (n + 1,)."""
    prefix = np.zeros(len(values) + 1)
    np.cumsum(values, dtype=np.float64, out=prefix[1:])
    return prefix


def _at(ends: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """First position whose end lies above each target; positions of no mass are never found."""
    last = int(np.searchsorted(ends, ends[-1], side="left"))
    return np.minimum(np.searchsorted(ends, targets, side="right"), last)


def _bisect(
    scores: np.ndarray, valid: np.ndarray, share: float, targets: np.ndarray, *, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Last place i in `low` … `high` - 1 of each target with (1 - a) S(i) + a V(i) <= target; all of them at once."""
    while np.any(high - low > 1):
        middle = (low + high) // 2
        below = (1.0 - share) * scores[middle] + share * valid[middle] <= targets
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low
