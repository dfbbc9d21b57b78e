"""Centre of a receptive field, from a map of where it is sensitive."""

from __future__ import annotations

import numpy as np

__all__ = ["field_centres"]

_ROUNDS = 20


def field_centres(maps: np.ndarray, radius: float = 5.0) -> np.ndarray:
    """Centres of mass of sensitivity maps around their strongest region, finer than a pixel.

    The map's median is taken off as its floor, and what is below becomes 0. Beginning where the map, smoothed over
    3 x 3 pixels, is largest, the centre of mass of what lies within `radius` is taken again and again until it stands
    still.

    Parameters
    ----------
    maps
        (N, H, W), >= 0.
    radius
        In pixels; it must hold the whole field, whose lobes may all lie to one side of the strongest pixel.

    Returns
    -------
    float64 (N, 2), row and column; NaN where a map is flat.
    """
    return np.array([_centre(single, radius) for single in np.asarray(maps, dtype=np.float64)]).reshape(-1, 2)


def _centre(single: np.ndarray, radius: float) -> np.ndarray:
    weights = np.clip(single - np.median(single), 0.0, None)
    if not weights.max() > 0:
        return np.full(2, np.nan)
    rows, columns = np.indices(weights.shape, dtype=np.float64)
    centre = np.array(np.unravel_index(_smoothed(weights).argmax(), weights.shape), dtype=np.float64)
    for _ in range(_ROUNDS):
        near = weights * ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2)
        before, centre = centre, np.array([(near * rows).sum(), (near * columns).sum()]) / near.sum()
        if np.abs(centre - before).max() < 1e-3:
            break
    return centre


def _smoothed(values: np.ndarray) -> np.ndarray:
    height, width = values.shape
    padded = np.pad(values, 1)
    return np.asarray(sum(padded[i : i + height, j : j + width] for i in range(3) for j in range(3)))
