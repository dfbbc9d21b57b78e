"""A fixed part of a split, for validations that would cost too much in full."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from visioncore_engine.contracts import Source
from visioncore_engine.data.draws import generator

__all__ = ["fixed_part"]


def fixed_part(sources: Sequence[Source], fraction: float, seed: int) -> list[np.ndarray]:
    """Choose the same share of every group's windows, keyed by seed and group alone.

    The choice knows neither epochs nor processes, and another group in the data changes nothing.

    Parameters
    ----------
    sources
        The split's sources.
    fraction
        Share in (0, 1], rounded up, so that no group with a window is left out.
    seed
        The run's seed.

    Returns
    -------
    Per source: window numbers, int64, ascending, each once
    """
    return [_chosen(source, fraction, seed) for source in sources]


def _chosen(source: Source, fraction: float, seed: int) -> np.ndarray:
    every = np.arange(source.num_items, dtype=np.int64)
    # The product of a decimal fraction and a count may exceed the whole number that is meant by an ulp.
    size = math.ceil(round(fraction * source.num_items, 6))
    if size >= source.num_items:
        return every
    return np.sort(generator("fixed part", seed, source.group.name).permutation(every)[:size])
