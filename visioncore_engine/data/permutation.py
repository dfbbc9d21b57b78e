"""A shuffle of any size that is computed where it is looked at: no table, no state."""

from __future__ import annotations

import math

import numpy as np

from visioncore_engine.data import native
from visioncore_engine.data.draws import Key, mix, seed_sequence

__all__ = ["Permutation"]

# On tiny domains each round can move little, so they need more of them (8 rounds leave a visible bias among the 120
# orders of five values, 12 among the 720 of six); from a few thousand values on, 8 cannot be told from chance.
_SMALL, _ROUNDS_SMALL, _ROUNDS = 4096, 16, 8


class Permutation:
    """Bijection of 0 … `size` - 1 chosen by a key.

    A Feistel network over pairs (left, right) in Z_a x Z_b with a · b just above `size`: each round adds a hash of one
    half to the other, which can be undone whatever the hash is. The few values that land at `size` or above walk on
    along their cycle until they are inside (Black & Rogaway 2002). With a ≈ √size that is one value in √size, while a
    domain of powers of two would walk with every other one.

    Parameters
    ----------
    size
        Number of values, 1 … 2^62.
    key
        What the permutation is for, e.g. ``("shuffled", seed, epoch)``.

    Examples
    --------
    >>> import numpy as np
    >>> from visioncore_engine.data import Permutation
    >>> sorted(Permutation(5, ("doc", 1))(np.arange(5)).tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(self, size: int, key: tuple[Key, ...]) -> None:
        if not 1 <= size <= 2**62:
            raise ValueError(f"a permutation has 1 … 2^62 values, not {size}")
        self.size = size
        left = max(math.isqrt(size - 1) + 1, 1)
        self._sides = np.uint64(left), np.uint64(-(-size // left))
        rounds = _ROUNDS_SMALL if size < _SMALL else _ROUNDS
        self._keys = seed_sequence(*key).generate_state(rounds, np.uint64)

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """Values at some positions of the shuffled order.

        Parameters
        ----------
        positions
            int64, any shape, each in 0 … `size` - 1.

        Returns
        -------
        int64, the same shape

        Raises
        ------
        IndexError
            For a position outside.
        """
        positions = np.asarray(positions, dtype=np.int64)
        if positions.size and (positions.min() < 0 or positions.max() >= self.size):
            raise IndexError(f"positions must lie in 0 … {self.size - 1}")
        values = positions.ravel().astype(np.uint64)
        if (library := native.library()) is not None:
            a, b = map(int, self._sides)
            native.call(library.permute, values, values.size, self.size, a, b, self._keys, len(self._keys))
            return values.astype(np.int64).reshape(positions.shape)
        values = self._rounds(values)
        while (outside := np.flatnonzero(values >= np.uint64(self.size))).size:
            values[outside] = self._rounds(values[outside])
        return values.astype(np.int64).reshape(positions.shape)

    def _rounds(self, values: np.ndarray) -> np.ndarray:
        a, b = self._sides
        left, right = values // b, values % b
        for i in range(0, len(self._keys), 2):
            left = _add(left, right, self._keys[i], a)
            right = _add(right, left, self._keys[i + 1], b)
        return np.asarray(left * b + right)


def _add(half: np.ndarray, other: np.ndarray, key: np.uint64, side: np.uint64) -> np.ndarray:
    """`half` plus a hash of `other`, modulo `side` (below 2^32)."""
    draw = ((mix(other + key) >> np.uint64(32)) * side) >> np.uint64(32)  # uniform in 0 … side - 1 (Lemire 2019)
    total = half + draw
    return np.asarray(np.where(total >= side, total - side, total))
