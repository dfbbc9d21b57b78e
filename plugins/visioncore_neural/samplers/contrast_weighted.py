"""Sampler `contrast_weighted`: windows of high contrast first, fading to all alike."""

from __future__ import annotations

import numpy as np

from visioncore_engine.contracts import Position, SamplerFacts
from visioncore_engine.data import Blend, generator
from visioncore_engine.errors import DataError, Problem
from visioncore_engine.schedule import Clock, value_at
from visioncore_neural.options.sampler import ContrastWeightedOptions
from visioncore_neural.samplers.plan import batch_items, steps_of_one_pass

__all__ = ["ContrastWeighted"]


class ContrastWeighted:
    """Draw windows with replacement, each with weight ``((1 - a) * score + a) * valid``; `a` is read at every draw.

    The score is that of the window itself (`Source.score("contrast")`), so it belongs to the window by construction;
    `valid` counts its valid frames, so at ``a = 1`` every valid frame comes alike. A batch costs
    O(batch · log windows) at any `a`, and nothing ends at 2^24 (`visioncore_engine.data.Blend`).

    The schedule stays what it is where a run is made shorter while it trains (`contracts.Training.plan_end`): the plan
    is a function of seed and position alone. Batches are read ahead of the moment at which an end is moved, and a run
    that is resumed after it has to find those that were.

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
        scores = [source.score("contrast") for source in facts.index.sources]
        scored = zip(scores, facts.index.weights, strict=True)
        self._blend = Blend([score * valid for score, valid in scored], facts.index.weights)
        if not self._blend.totals[0].sum() > 0:
            raise DataError(Problem(key="sampler", what="no training window has any contrast"))
        self._mean = sum(float(score.sum()) for score in scores) / facts.index.num_items

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
        return self._blend.draw(rng, self._items, self.share(position))

    def curriculum(self, position: Position) -> dict[str, float]:
        """Return `a` as ``uniform``, and the mean score of the batch's windows over that of all as ``contrast``."""
        windows = self.batch(position)
        groups = np.searchsorted(self._index.offsets, windows, side="right") - 1
        drawn = np.empty(len(windows))
        for group in np.unique(groups):
            own = groups == group
            drawn[own] = self._index.sources[group].score("contrast")[windows[own] - self._index.offsets[group]]
        return {"uniform": self.share(position), "contrast": float(drawn.mean()) / self._mean}
