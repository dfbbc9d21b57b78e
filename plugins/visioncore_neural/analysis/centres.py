"""Centre of a receptive field, from a map of where it is sensitive."""

from __future__ import annotations

import numpy as np

__all__ = ["field_centres"]

_ROUNDS = 100


def field_centres(maps: np.ndarray, width: float = 2.5) -> np.ndarray:
    """Centres of mass of sensitivity maps around their strongest region, finer than a pixel.

    The map's median is taken off as its floor, and what is below becomes 0. Beginning where the map, smoothed over
    3 x 3 pixels, is largest, the centre of mass under a Gaussian window is taken, and again under a window around that
    centre, until it stands still.

    Parameters
    ----------
    maps
        (N, H, W), >= 0.
    width
        Standard deviation of the window in pixels; it must be wide enough to see all lobes of a field from one of them.

    Returns
    -------
    float64 (N, 2), row and column; NaN where a map is flat.
    """
    return np.array([_centre(single, width) for single in np.asarray(maps, dtype=np.float64)]).reshape(-1, 2)


def _centre(single: np.ndarray, width: float) -> np.ndarray:
    weights = np.clip(single - np.median(single), 0.0, None)
    if not weights.max() > 0:
        return np.full(2, np.nan)
    rows, columns = np.indices(weights.shape, dtype=np.float64)
    centre = np.array(np.unravel_index(_smoothed(weights).argmax(), weights.shape), dtype=np.float64)
    for _ in range(_ROUNDS):
        near = weights * np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / (2 * width**2))
        before, centre = centre, np.array([(near * rows).sum(), (near * columns).sum()]) / near.sum()
        if np.abs(centre - before).max() < 1e-3:
            break
    return centre


def _smoothed(values: np.ndarray) -> np.ndarray:
    height, width = values.shape
    padded = np.pad(values, 1)
    return np.asarray(sum(padded[i : i + height, j : j + width] for i in range(3) for j in range(3)))
