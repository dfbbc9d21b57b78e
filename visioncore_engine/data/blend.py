"""Draws from a blend of two weightings that is never written down: prefix sums of both, and a bisection.

Windows stand group after group. Each group has one prefix sum more than it has windows, so that the last is its total.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from visioncore_engine.data import native

__all__ = ["Blend"]


class Blend:
    """Windows of several groups, drawn with replacement with weight ``(1 - a) * first + a * second``.

    A draw costs O(log windows) at any `a`, and nothing ends at 2^24: sums are float64.

    Parameters
    ----------
    first, second
        Per group: weights of its windows, float64 (n,), >= 0.
    """

    def __init__(self, first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> None:
        sizes = np.array([len(weights) for weights in first], dtype=np.int64)
        end = np.cumsum(sizes) + np.arange(len(sizes))
        self._bounds = np.stack([end - sizes, end])
        # Both sums of a place stand side by side: a search looks at both, and waits for memory once.
        self._sums = np.zeros((int(sizes.sum()) + len(sizes), 2))
        for sums, weightings in zip(self._sums.T, (first, second), strict=True):
            for begin, stop, weights in zip(*self._bounds, weightings, strict=True):
                np.cumsum(weights, dtype=np.float64, out=sums[begin + 1 : stop + 1])
        self.totals = np.ascontiguousarray(self._sums[end].T)

    def draw(self, rng: np.random.Generator, num: int, share: float) -> np.ndarray:
        """Draw `num` windows at ``a = share``: int64 (num,), counted over all groups."""
        uniform = rng.random(2 * num)
        mass = np.array([1.0 - share, share]) @ self.totals
        ends = mass.cumsum()
        last = int(ends.searchsorted(ends[-1], side="left"))  # the last group that has any mass
        library = native.library()
        if library is None:
            return self._drawn(uniform, mass, ends, last, share)
        found = np.empty((3, num), np.int64)
        native.call(
            library.draw_blend,
            *(uniform, num, mass, ends, len(ends), last),
            *(self._sums, 1.0 - share, share, self._bounds, found),
        )
        return np.asarray(found[1] - found[0])

    def _drawn(self, uniform: np.ndarray, mass: np.ndarray, ends: np.ndarray, last: int, share: float) -> np.ndarray:
        by_group, by_place = np.split(uniform, 2)
        group = np.minimum(ends.searchsorted(by_group * ends[-1], side="right"), last)
        target = by_place * mass[group]
        low, high = self._bounds[:, group]
        first, second = self._sums.T
        while np.any(high - low > 1):
            middle = (low + high) // 2
            below = (1.0 - share) * first[middle] + share * second[middle] <= target
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray(low - group)  # each group before it has one sum too many
