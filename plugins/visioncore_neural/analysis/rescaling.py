"""A gain and an offset for each unit's predicted rate, fitted apart from what is scored. T frames, N units."""

from __future__ import annotations

import numpy as np

__all__ = ["cross_rescaled", "fit_affine", "folds_of"]

_STEPS = 50
_EDGE = 0.99  # share of the way to a bound that one step may go


def folds_of(num_rows: int, num_folds: int, block: int) -> np.ndarray:
    """Fold of each row, int64 (T,): blocks of neighbouring rows take turns, because neighbours are alike."""
    return np.asarray(np.arange(num_rows) // block % num_folds)


def fit_affine(rates: np.ndarray, counts: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit ``a * rate + b`` with a, b > 0 by the Poisson likelihood, which is concave in both: Newton's method.

    Parameters
    ----------
    rates, counts
        float64 (T, N); anything where `valid` is False.
    valid
        bool (T, N).

    Returns
    -------
    a, b
        float64 (N,); 1 and 0 for a unit without a valid spike: nothing can be fitted.
    """
    x, k = np.where(valid, rates, 0.0), np.where(valid, counts, 0.0)
    n, total = valid.sum(0), k.sum(0)
    known = (total > 0) & (x.sum(0) > 0)
    mean = total / np.maximum(n, 1)
    a = np.where(known, 0.5 * total / np.maximum(x.sum(0), 1e-300), 1.0)
    b = np.where(known, 0.5 * mean, 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):  # of units of which nothing is known
        for _ in range(_STEPS):
            # The multiplicative step never makes it worse, and finds the offset also where the gain goes to 0.
            weight = np.where(valid, k / (a * x + b), 0.0)
            a, b = a * (weight * x).sum(0) / x.sum(0), b * weight.sum(0) / n
            step_a, step_b = _newton(a, b, x, k, valid)
            most = np.minimum(np.where(step_a < 0, -a / step_a, np.inf), np.where(step_b < 0, -b / step_b, np.inf))
            length = np.minimum(1.0, _EDGE * most)
            better = _likelihood(a + length * step_a, b + length * step_b, x, k, valid) > _likelihood(a, b, x, k, valid)
            length = np.where(better, length, 0.0)
            a, b = a + length * step_a, b + length * step_b
    return np.where(known, a, 1.0), np.where(known, b, 0.0)


def cross_rescaled(rates: np.ndarray, counts: np.ndarray, valid: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Rescaled rates, float64 (T, N): those of each fold with the gain and offset that the other folds give.

    No response is scored with a gain or offset that it took part in.
    """
    rescaled = np.full(rates.shape, np.nan)
    for fold in np.unique(folds):
        own = folds == fold
        a, b = fit_affine(rates[~own], counts[~own], valid[~own])
        rescaled[own] = a * rates[own] + b
    return rescaled


def _newton(
    a: np.ndarray, b: np.ndarray, x: np.ndarray, k: np.ndarray, valid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    rate = np.where(valid, a * x + b, 1.0)
    first = k / rate
    second = first / rate
    by_a, by_b = (first * x).sum(0) - x.sum(0), first.sum(0) - valid.sum(0)
    aa, ab, bb = (second * x * x).sum(0), (second * x).sum(0), second.sum(0)
    ridge = 1e-9 * (aa + bb)  # a prediction that does not vary leaves the two apart by nothing
    aa, bb = aa + ridge, bb + ridge
    determinant = aa * bb - ab * ab
    return np.asarray((bb * by_a - ab * by_b) / determinant), np.asarray((aa * by_b - ab * by_a) / determinant)


def _likelihood(a: np.ndarray, b: np.ndarray, x: np.ndarray, k: np.ndarray, valid: np.ndarray) -> np.ndarray:
    rate = np.where(valid, a * x + b, 1.0)
    return np.asarray((k * np.log(np.maximum(rate, 1e-300))).sum(0) - np.where(valid, rate, 0.0).sum(0))
