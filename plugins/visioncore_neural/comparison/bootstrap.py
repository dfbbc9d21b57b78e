"""Bootstrap intervals of mean differences between paired scores. S seeds, U units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["crossed", "interval", "nested"]

_AT_ONCE = 2_000_000  # counts that are drawn at a time


def interval(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap draws (draws,)."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def crossed(scores: np.ndarray, baseline: np.ndarray, *, paired: bool, num_draws: int, seed: int) -> np.ndarray:
    """Draw mean differences where every seed has the same units.

    In each draw, seeds are drawn with replacement, and units are drawn with replacement once for all seeds: units are
    not independent between runs of the same recordings.

    Parameters
    ----------
    scores, baseline
        float64 (S, U) and (S', U), no NaN.
    paired
        Whether row s of both has one seed (S = S'): the same seeds are then drawn for both.
    num_draws, seed
        Number of draws, and what decides them.

    Returns
    -------
    float64 (num_draws,)
    """
    draws = np.random.default_rng(seed)
    size = scores.shape[1]
    parts = []
    for some in _pieces(num_draws, size):
        units = _counts(draws, some, size)  # (draws, U), each row sums to 1
        own = _counts(draws, some, len(scores))
        other = own if paired else _counts(draws, some, len(baseline))
        means, base = units @ scores.T, units @ baseline.T  # (draws, S)
        parts.append((own * means).sum(1) - (other * base).sum(1))
    return np.concatenate(parts)


def nested(differences: Sequence[np.ndarray], *, num_draws: int, seed: int) -> np.ndarray:
    """Draw mean differences where each seed has units of its own.

    In each draw, seeds are drawn with replacement, and within each of those the units of that seed.

    Parameters
    ----------
    differences
        Per seed: float64 (U_s,), no NaN.

    Returns
    -------
    float64 (num_draws,), means over seeds of the means over units
    """
    draws = np.random.default_rng(seed)
    num_seeds = len(differences)
    total = np.zeros(num_draws)
    for _ in range(num_seeds):
        chosen = draws.integers(num_seeds, size=num_draws)
        for number, own in enumerate(differences):
            places = np.flatnonzero(chosen == number)
            for start in range(0, len(places), max(_AT_ONCE // len(own), 1)):
                some = places[start : start + max(_AT_ONCE // len(own), 1)]
                total[some] += _counts(draws, len(some), len(own)) @ own
    return total / num_seeds


def _counts(draws: np.random.Generator, num: int, size: int) -> np.ndarray:
    """Shares of `size` things drawn with replacement, float64 (num, size)."""
    return np.asarray(draws.multinomial(size, np.full(size, 1.0 / size), size=num) / size)


def _pieces(num: int, size: int) -> list[int]:
    most = max(_AT_ONCE // size, 1)
    return [min(most, num - start) for start in range(0, num, most)]
