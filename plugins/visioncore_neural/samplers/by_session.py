"""Sampler `by_session`: each batch from one session."""

from __future__ import annotations

import numpy as np

from visioncore_engine.contracts import Position, SamplerFacts
from visioncore_engine.data import Permutation
from visioncore_neural.options.sampler import BySessionOptions
from visioncore_neural.samplers.plan import batch_items, group_sizes, pass_items

__all__ = ["BySession"]


class BySession:
    """Each batch from one session, without replacement within a pass over it.

    ``draw: size`` shuffles the batches of all sessions: one pass draws every window once, and a session comes in
    proportion to its size. ``draw: uniform`` goes round the sessions, in an order of its own each time, so that all
    come equally often and the small ones begin a new pass sooner. The last batch of a pass may be short.

    Parameters
    ----------
    options, facts
        What to draw, and the index and seed.
    """

    def __init__(self, options: BySessionOptions, facts: SamplerFacts) -> None:
        self._index, self._seed, self._uniform = facts.index, facts.seed, options.draw == "uniform"
        self._items = batch_items(facts.index, options.batch_size)
        self._sizes = group_sizes(facts.index)
        self._groups = np.flatnonzero(self._sizes)
        self._batches = -(-self._sizes[self._groups] // self._items)  # batches in a pass over each group
        self._steps = options.batches_per_epoch or int(self._batches.sum())

    def steps_per_epoch(self) -> int:
        """Return the steps as asked, else the batches of one pass over all sessions."""
        return self._steps

    def batch(self, position: Position) -> np.ndarray:
        """Windows of one session, int64 (B,)."""
        number = position.epoch * self._steps + position.step
        member, turn, chunk = self._round(number) if self._uniform else self._pass(number)
        group = int(self._groups[member])
        size = int(self._sizes[group])
        places = np.arange(chunk * self._items, min((chunk + 1) * self._items, size), dtype=np.int64)
        items = pass_items(size, turn * size + places, "by_session", self._seed, group)
        return np.asarray(self._index.offsets[group] + items)

    def _pass(self, number: int) -> tuple[int, int, int]:
        """Which group, pass and batch of the pass, where all batches of a pass are shuffled."""
        total = int(self._batches.sum())
        turn, place = divmod(number, total)
        batch = int(Permutation(total, ("by_session batches", self._seed, turn))(np.array([place]))[0])
        ends = np.cumsum(self._batches)
        member = int(np.searchsorted(ends, batch, side="right"))
        return member, turn, batch - int(ends[member] - self._batches[member])

    def _round(self, number: int) -> tuple[int, int, int]:
        """Which group, pass and batch of the pass, where each round takes one batch of every group."""
        turn, place = divmod(number, len(self._groups))
        order = Permutation(len(self._groups), ("by_session round", self._seed, turn))
        member = int(order(np.array([place]))[0])
        return member, *divmod(turn, int(self._batches[member]))
