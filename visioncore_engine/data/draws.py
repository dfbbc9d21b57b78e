"""Random draws as pure functions of a key: nothing is kept between draws, so nothing has to be saved or shared.

A key is a tuple such as ``("shuffled", seed, epoch)``; the word keeps streams with equal numbers apart.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np

__all__ = ["Key", "generator", "mix", "seed_sequence", "uniforms"]

Key = int | str
"""A part of a key: an integer in 0 … 2^64 - 1, or a word."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@lru_cache(maxsize=256)
def _word(part: str) -> int:
    return int.from_bytes(hashlib.sha256(part.encode()).digest()[:8], "little")


def _number(part: Key) -> int:
    if isinstance(part, str):
        return _word(part)
    number = int(part)
    if not 0 <= number < 2**64:
        raise ValueError(f"a part of a key is a word or an integer in 0 … 2^64 - 1, not {part!r}")
    return number


def seed_sequence(*key: Key) -> np.random.SeedSequence:
    """Seed of a key; different keys give independent streams.

    NumPy pads short entropy with zeros and cuts long integers into words of 32 bits, so that ``[1]`` and ``[1, 0]``, or
    ``[2**32]`` and ``[0, 1]``, are one seed there. Here the number of parts comes first and each part takes two words.

    Raises
    ------
    ValueError
        For an integer outside 0 … 2^64 - 1.
    """
    words = [len(key)]
    for part in key:
        number = _number(part)
        words += [number & 0xFFFFFFFF, number >> 32]
    return np.random.SeedSequence(np.array(words, np.uint32))  # a list of them takes five times as long


def generator(*key: Key) -> np.random.Generator:
    """Philox generator of a key.

    Examples
    --------
    >>> from visioncore_engine.data import generator
    >>> bool(generator("weights", 7, 0).random() == generator("weights", 7, 0).random())
    True
    """
    return np.random.Generator(np.random.Philox(seed_sequence(*key)))


def mix(values: np.ndarray) -> np.ndarray:
    """Mix the bits of each value: a bijection of uint64 (the finaliser of SplitMix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))


def uniforms(items: np.ndarray, num: int, *key: Key) -> np.ndarray:
    """Uniform draws in [0, 1) for each item, the same whatever other items stand beside it.

    Parameters
    ----------
    items
        int64 (B,), >= 0.
    num
        Draws for each item.
    *key
        What the draws are for.

    Returns
    -------
    float64 (B, num)
    """
    first, second = seed_sequence(*key).generate_state(2, np.uint64)
    start = mix(np.asarray(items, dtype=np.int64).astype(np.uint64) * _GOLDEN + first)
    counter = np.arange(1, num + 1, dtype=np.uint64) * _GOLDEN
    bits = mix(mix(start[:, None] + counter) ^ second)
    return np.asarray((bits >> np.uint64(11)) * 2.0**-53)
