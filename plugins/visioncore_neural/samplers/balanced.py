"""Sampler `balanced`: batches over all sessions with a declared balance."""

from __future__ import annotations

from collections import Counter

import numpy as np

from visioncore_engine.contracts import Index, Position, SamplerFacts
from visioncore_engine.data import Permutation
from visioncore_neural.options.sampler import BalancedOptions
from visioncore_neural.samplers.plan import batch_items, group_sizes, pass_items, steps_of_one_pass

__all__ = ["Balanced", "shares"]


class Balanced:
    """Batches over all sessions in fixed shares, without replacement within a pass over a session.

    A cycle has as many draws as there are windows. Each session owns a fixed number of them (its share, rounded to a
    whole number), a permutation says which, and the session's own draws go through its windows pass after pass. So
    shares are exact in every cycle, and a cycle draws no window of a session twice unless it draws all of them.

    Parameters
    ----------
    options, facts
        The balance, and the index and seed.
    """

    def __init__(self, options: BalancedOptions, facts: SamplerFacts) -> None:
        self._index, self._seed = facts.index, facts.seed
        self._items = batch_items(facts.index, options.batch_size)
        self._sizes = group_sizes(facts.index)
        self._cycle = int(self._sizes.sum())
        self._quota = _apportion(shares(facts.index, options.by), self._cycle)
        self._ends = np.cumsum(self._quota)
        self._steps = steps_of_one_pass(self._cycle, self._items, options.batches_per_epoch)

    def steps_per_epoch(self) -> int:
        """Return the steps as asked, else as many as draw the number of all windows."""
        return self._steps

    def batch(self, position: Position) -> np.ndarray:
        """Windows of the batch, int64 (B,)."""
        start = (position.epoch * self._steps + position.step) * self._items
        draws = np.arange(start, start + self._items, dtype=np.int64)
        turn, place = draws // self._cycle, draws % self._cycle
        items = np.empty_like(draws)
        for number in np.unique(turn):
            members = turn == number
            slots = Permutation(self._cycle, ("balanced", self._seed, int(number)))(place[members])
            items[members] = self._of_slots(int(number), slots)
        return items

    def _of_slots(self, turn: int, slots: np.ndarray) -> np.ndarray:
        groups = np.searchsorted(self._ends, slots, side="right")
        items = np.empty_like(slots)
        for group in np.unique(groups):
            members = groups == group
            quota = int(self._quota[group])
            own = turn * quota + slots[members] - (int(self._ends[group]) - quota)
            drawn = pass_items(int(self._sizes[group]), own, "balanced session", self._seed, int(group))
            items[members] = self._index.offsets[group] + drawn
        return items


def shares(index: Index, by: str) -> np.ndarray:
    """Share of the draws that each session gets, float64 (G,), 0 for a session without windows.

    Predicted frames are balanced, so a session whose windows hold fewer valid frames gets more draws.

    Parameters
    ----------
    index
        The windows.
    by
        ``samples``, ``sessions``, ``subjects`` or ``units``.
    """
    frames = np.array([weights.sum() for weights in index.weights])
    used = frames > 0
    subjects = [group.labels["subjects"] for group in index.groups]
    if by == "samples":
        return np.asarray(group_sizes(index) / max(index.num_items, 1))
    if by == "sessions":
        wanted = np.ones(len(frames))
    elif by == "units":
        wanted = np.array(
            [target.size for group in index.groups for target in group.targets.values()], dtype=np.float64
        )
    else:
        of_subject: Counter[str] = Counter()
        for subject, num in zip(subjects, frames, strict=True):
            of_subject[subject] += num
        wanted = np.array([num / max(of_subject[subject], 1) for subject, num in zip(subjects, frames, strict=True)])
    per_window = frames / np.maximum(group_sizes(index), 1)
    draws = np.where(used, wanted / np.where(used, per_window, 1.0), 0.0)
    return np.asarray(draws / draws.sum())


def _apportion(parts: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers in proportion to `parts` that sum to `total`, by largest remainder, int64."""
    exact = parts * total
    whole = np.floor(exact).astype(np.int64)
    largest = np.argsort(-(exact - whole), kind="stable")[: total - int(whole.sum())]
    whole[largest] += 1
    return np.asarray(whole)
