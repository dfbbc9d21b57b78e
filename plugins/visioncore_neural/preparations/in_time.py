"""Preparations that mix frames: within one trial and split, never across their edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from visioncore_engine.contracts import PreparationFacts
from visioncore_neural.options.preparation import DifferenceOptions, SideBasisOptions, SmoothOptions
from visioncore_neural.preparations.arrays import EYE, Edges, chosen_channels, replaced, unfilled, with_behavior
from visioncore_neural.preparations.unfitted import Unfitted
from visioncore_neural.recording import Recording
from visioncore_neural.stages.bases import temporal_basis

__all__ = ["Difference", "Smooth", "TemporalBasis"]


class Difference(Unfitted):
    """``x[t] - x[t - 1]`` in place of x; 0 in the first frame of each trial and where the split changes.

    Parameters
    ----------
    options, facts
        Which array, and the group.
    """

    def __init__(self, options: DifferenceOptions, facts: PreparationFacts) -> None:
        del facts  # nothing depends on the group
        self._of, self._channels = options.of, options.channels

    def apply(self, recording: Recording, state: Mapping[str, Any]) -> Recording:
        """Change the values."""
        del state  # nothing was fitted
        channels = chosen_channels(recording, self._of, self._channels)
        edges, values = Edges(recording), unfilled(recording, self._of)
        for chunk in recording.chunks():
            now, before = edges.neighbours(recording, self._of, chunk, (0, 1))
            change = now - before
            change[~edges.holds(chunk, 1)] = 0.0
            now[:, channels] = change[:, channels]
            values[chunk] = now
        return replaced(recording, self._of, values)


class Smooth(Unfitted):
    """Gaussian running mean over the frames of a trial and split that exist; weights sum to 1 at the edges too.

    A value that is not finite is left out of the means of others, and stays as it is.

    Parameters
    ----------
    options, facts
        Which array, how far, and the group.
    """

    def __init__(self, options: SmoothOptions, facts: PreparationFacts) -> None:
        del facts  # nothing depends on the group
        self._options = options

    def apply(self, recording: Recording, state: Mapping[str, Any]) -> Recording:
        """Change the values."""
        del state  # nothing was fitted
        key, sigma = self._options.of, self._options.sigma_ms / 1000 / recording.dt
        channels = chosen_channels(recording, key, self._options.channels)
        reach = int(self._options.reach * sigma)
        lags = range(0 if self._options.causal else -reach, reach + 1)
        edges, values = Edges(recording), unfilled(recording, key)
        for chunk in recording.chunks():
            now = recording.values(key, chunk)
            total = np.zeros_like(now[:, channels])
            weights = np.zeros_like(total)
            for lag, rows in zip(lags, edges.neighbours(recording, key, chunk, lags), strict=True):
                weight = np.float32(np.exp(-0.5 * (lag / sigma) ** 2))
                some = rows[:, channels]
                exists = np.isfinite(some)
                exists[~edges.holds(chunk, lag)] = False
                some[~exists] = 0.0
                total += weight * some
                weights += weight * exists
            there = np.isfinite(now[:, channels])  # what is there has a weight: its own
            total[there] /= weights[there]
            total[~there] = np.nan
            now[:, channels] = total
            values[chunk] = now
        return replaced(recording, key, values)


class TemporalBasis(Unfitted):
    """A side input under single frames and raised cosines (`stages.bases`), as behavior channels.

    Function j of channel ``c`` is ``<c>_past_<j>``, and its mirrored copy, which begins with the next frame,
    ``<c>_future_<j>``. Frames beyond an edge count as 0. A frame that lacks a value which it needs does not exist.

    Parameters
    ----------
    options, facts
        Basis and channels, and the group.
    """

    def __init__(self, options: SideBasisOptions, facts: PreparationFacts) -> None:
        del facts  # nothing depends on the group
        self._options = options

    def apply(self, recording: Recording, state: Mapping[str, Any]) -> Recording:
        """Filter the channels."""
        del state  # nothing was fitted
        key = self._options.of
        channels = chosen_channels(recording, key, self._options.channels)
        past = temporal_basis(self._options, recording.dt)[:, ::-1]  # (functions, lags), the current frame first
        num = past.shape[1]
        filters = dict(zip(range(num), _beside(past, 0, self._options.acausal).T, strict=True))
        if self._options.acausal:
            filters.update(zip(range(-1, -num - 1, -1), _beside(past, len(past), True).T, strict=True))
        edges, size = Edges(recording), len(next(iter(filters.values())))
        new = np.full((recording.num_frames, size, len(channels)), np.nan, dtype=np.float32)
        for chunk in recording.chunks():
            total = np.zeros_like(new[chunk])
            for lag, rows in zip(filters, edges.neighbours(recording, key, chunk, filters), strict=True):
                for function in np.flatnonzero(filters[lag]):  # a weight of 0 needs no value, which may be NaN
                    total[:, function] += np.float32(filters[lag][function]) * rows[:, channels]
            new[chunk] = total
        behavior = key == "behavior"
        names = [(recording.behavior_names if behavior else EYE)[i] for i in channels]
        kept = np.arange(len(recording.behavior_names))
        kept = np.setdiff1d(kept, channels) if behavior else kept
        said = [("past", j) for j in range(len(past))] + [("future", j) for j in range(size - len(past))]
        named = (f"{name}_{side}_{function}" for side, function in said for name in names)
        return with_behavior(recording, kept, new.reshape(len(new), -1), named)


def _beside(past: np.ndarray, row: int, acausal: bool) -> np.ndarray:
    """Functions of the past (J, K) among the rows of all, from `row` on: (J or 2 J, K)."""
    every = np.zeros((len(past) * (2 if acausal else 1), past.shape[1]))
    every[row : row + len(past)] = past
    return every
