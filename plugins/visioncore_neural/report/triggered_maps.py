"""Picture of stimuli before spikes and before predicted rates. N units, K lags, P pixels of C channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visioncore_neural.report.mosaic import Picture, mosaic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Maps", "triggered_maps"]

_NUM_UNITS = 10
_NUM_SESSIONS = 6


@dataclass(frozen=True)
class Maps:
    """Of one session: z of data and of model, float64 (N, K, P), NaN where a unit has none; unit ids; (C, H, W); dt."""

    data: np.ndarray
    model: np.ndarray
    ids: tuple[str, ...]
    shape: tuple[int, ...]
    dt: float | None

    def rows(self) -> dict[str, list[Picture]]:
        """Pictures of the first units that have a map, at the lag and in the channel where the data's is largest."""
        found: dict[str, list[Picture]] = {"data": [], "model": []}
        num_lags, height, width = self.data.shape[1], *self.shape[1:]
        for unit, name in enumerate(self.ids):
            own = self.data[unit].reshape(num_lags, -1, height, width)
            if np.isnan(own).all() or np.isnan(self.model[unit]).all() or len(found["data"]) == _NUM_UNITS:
                continue
            lag, channel, *_ = np.unravel_index(np.nanargmax(np.abs(own)), own.shape)
            before = num_lags - 1 - lag
            when = f"{before} frames" if self.dt is None else f"{before * self.dt * 1000:.0f} ms"
            for word, maps in (("data", own), ("model", self.model[unit].reshape(own.shape))):
                image = np.nan_to_num(maps[lag, channel])
                title = f"{name}\n{when}" if word == "data" else ""
                found[word].append(Picture(image, title))
        return {word: pictures for word, pictures in found.items() if pictures}


def triggered_maps(sessions: Mapping[str, Maps]) -> Figure | None:
    """Maps of data above those of the model, two rows per session; None where nothing has a map with space."""
    rows = {
        f"{name}\n{word}": pictures
        for name, maps in list(sessions.items())[:_NUM_SESSIONS]
        if max(maps.shape[1:]) > 1
        for word, pictures in maps.rows().items()
    }
    return mosaic(rows, signed=True) if rows else None
