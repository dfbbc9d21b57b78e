"""What the samplers share: the size of a batch in windows, and passes over a group."""

from __future__ import annotations

import numpy as np

from visioncore_engine.contracts import Index
from visioncore_engine.data import Permutation

__all__ = ["batch_items", "group_sizes", "pass_items", "steps_of_one_pass"]


def batch_items(index: Index, batch_size: int) -> int:
    """Windows in a batch of `batch_size` predicted frames, at least one."""
    return max(batch_size // index.frames_per_item, 1)


def group_sizes(index: Index) -> np.ndarray:
    """Windows of each group, int64 (G,)."""
    return np.diff(index.offsets)


def steps_of_one_pass(num_items: int, items: int, batches_per_epoch: int | None) -> int:
    """Count the steps of an epoch: as asked, else one pass over `num_items` windows."""
    return batches_per_epoch or -(-num_items // items)


def pass_items(size: int, draws: np.ndarray, *key: int | str) -> np.ndarray:
    """Draw from a group without replacement within a pass, pass after pass.

    Parameters
    ----------
    size
        Windows of the group.
    draws
        int64 (B,): numbers of the draws since the start.
    *key
        What the draws are for.

    Returns
    -------
    int64 (B,), windows of the group; draws ``k·size … (k+1)·size - 1`` hold each window once, in an order of their own
    """
    turn, place = draws // size, draws % size
    items = np.empty_like(draws)
    for number in np.unique(turn):
        members = turn == number
        items[members] = Permutation(size, (*key, int(number)))(place[members])
    return items
