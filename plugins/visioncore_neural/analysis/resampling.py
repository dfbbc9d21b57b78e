"""Intervals of scores from blocks of time drawn anew. T frames, B blocks, N units."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from visioncore_engine.data import generator
from visioncore_neural.metrics.correlation import correlation

__all__ = ["bits_of", "block_interval", "block_sums", "correlation_of"]

Sums = Mapping[str, np.ndarray]


def block_sums(rates: np.ndarray, counts: np.ndarray, valid: np.ndarray, block: int) -> dict[str, np.ndarray]:
    """Sums over blocks of `block` rows, float64 (B, N) each, from which scores are computed.

    Parameters
    ----------
    rates, counts
        (T, N); anything where `valid` is False.
    valid
        bool (T, N).
    block
        Rows of a block.
    """
    x, y = (np.where(valid, values, 0.0).astype(np.float64) for values in (rates, counts))
    log = np.where(valid, np.log(np.maximum(x, 1e-300)), 0.0)
    terms = {"n": valid.astype(np.float64), "x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y, "log": y * log}
    starts = np.arange(0, len(rates), block)
    return {name: np.add.reduceat(values, starts, axis=0) for name, values in terms.items()}


def bits_of(sums: Sums) -> np.ndarray:
    """Bits per spike (`metrics.bits_per_spike`) from sums, (..., N); NaN for a unit without a spike."""
    spikes = np.where(sums["y"] > 0, sums["y"], np.nan)
    null = spikes * np.log(spikes / np.maximum(sums["n"], 1)) - spikes
    return np.asarray((sums["log"] - sums["x"] - null) / (spikes * np.log(2.0)))


def correlation_of(sums: Sums) -> np.ndarray:
    """Correlation of rate and response from sums, (..., N)."""
    return correlation(sums)


def block_interval(
    sums: Sums, score: Callable[[Sums], np.ndarray], *, num_draws: int, key: tuple[int | str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Middle 95 % of a score over blocks drawn with replacement, float64 (N,) each; NaN where it is not defined.

    Parameters
    ----------
    sums
        What `block_sums` gave.
    score
        From sums (draws, N) to scores (draws, N).
    num_draws, key
        Number of draws, and what decides them.
    """
    num_blocks, num_units = sums["n"].shape
    counts = generator("blocks", *key).multinomial(num_blocks, np.full(num_blocks, 1 / num_blocks), size=num_draws)
    drawn = score({name: counts @ values for name, values in sums.items()})
    low, high = np.full(num_units, np.nan), np.full(num_units, np.nan)
    known = ~np.isnan(drawn).all(0)
    if known.any():
        low[known], high[known] = np.nanquantile(drawn[:, known], [0.025, 0.975], axis=0)
    return low, high
