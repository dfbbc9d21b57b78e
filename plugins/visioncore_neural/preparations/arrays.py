"""What preparations do with arrays: choose channels, replace values, walk through time without crossing an edge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from visioncore_engine.errors import DataError, Problem, nearest
from visioncore_neural.recording import Recording

__all__ = ["EYE", "Edges", "chosen_channels", "replaced", "unfilled", "with_behavior"]

EYE = ("eye_horizontal", "eye_vertical")
"""Names of the channels of an eye position."""


def chosen_channels(recording: Recording, key: str, patterns: tuple[str, ...]) -> np.ndarray:
    """Channels of an array whose names match, int64, ascending; channels of a stimulus have no names: all of them.

    Raises
    ------
    DataError
        Where the recording has no such array, or a pattern matches nothing.
    """
    num = recording.array(key).shape[1]
    if key == "stim":
        return np.arange(num)
    names = recording.behavior_names if key == "behavior" else EYE
    problems = [
        Problem(
            where=recording.where,
            key="channels",
            what=f"matches no channel of {key}; there are {', '.join(names)}",
            given=repr(pattern),
            todo=f"the nearest is {nearest(pattern, names) or names[0]!r}",
        )
        for pattern in patterns
        if not any(fnmatchcase(name, pattern) for name in names)
    ]
    if problems:
        raise DataError(*problems)
    return np.array([i for i in range(num) if any(fnmatchcase(names[i], pattern) for pattern in patterns)], np.int64)


def replaced(recording: Recording, key: str, values: np.ndarray, names: tuple[str, ...] | None = None) -> Recording:
    """Put values in the place of an array: they are what they say, and no longer scaled.

    A frame in which one of them is not finite does not exist; what is predicted there counts no more.

    Parameters
    ----------
    recording
        The recording.
    key
        ``stim``, ``behavior`` or ``eyepos``.
    values
        (T, ...), float32.
    names
        Names of the behavior channels, where they change.
    """
    affine = {name: scaling for name, scaling in recording.affine.items() if name != key}
    missing = ~np.isfinite(values).reshape(len(values), -1).all(1)
    valid = recording.valid
    if missing.any():
        valid = np.array(valid)
        valid[missing] = False
    names = recording.behavior_names if names is None else names
    changed: dict[str, Any] = {key: values}
    return replace(recording, **changed, affine=affine, valid=valid, behavior_names=names)


def unfilled(recording: Recording, key: str) -> np.ndarray:
    """Array for the new values of another: float32 of its shape, NaN, so that what is left out does not exist."""
    return np.full(recording.array(key).shape, np.nan, dtype=np.float32)


def with_behavior(recording: Recording, kept: np.ndarray, new: np.ndarray, names: Iterable[str]) -> Recording:
    """Keep some behavior channels, and put new ones behind them.

    Parameters
    ----------
    recording
        The recording.
    kept
        int64, channels that stay; empty where there is no behavior.
    new, names
        (T, K) float32, and their names.
    """
    old = np.zeros((recording.num_frames, 0), dtype=np.float32)
    if len(kept):
        old = recording.values("behavior", slice(None))[:, kept]
    said = (*(recording.behavior_names[i] for i in kept), *names)
    return replaced(recording, "behavior", np.concatenate([old, new], axis=1), said)


class Edges:
    """How far each frame lies from the edges of its trial and split.

    Parameters
    ----------
    recording
        The recording.
    """

    def __init__(self, recording: Recording) -> None:
        frames, begins = np.arange(recording.num_frames), ~recording.follows()
        self._since = frames - np.maximum.accumulate(np.where(begins, frames, 0))
        ends = np.append(begins[1:], True)
        self._left = np.minimum.accumulate(np.where(ends, frames, len(frames))[::-1])[::-1] - frames

    def holds(self, frames: slice, lag: int) -> np.ndarray:
        """Frames whose neighbour `lag` frames earlier (later, where negative) lies in their trial and split, bool."""
        return np.asarray(self._since[frames] >= lag if lag >= 0 else self._left[frames] >= -lag)

    def neighbours(self, recording: Recording, key: str, chunk: slice, lags: Iterable[int]) -> Iterator[np.ndarray]:
        """Yield the values of a chunk of frames at each lag, float32 (frames, ...); 0 beyond an edge."""
        lags = list(lags)
        start = max(chunk.start - max(*lags, 0), 0)
        stop = min(chunk.stop - min(*lags, 0), recording.num_frames)
        around = recording.values(key, slice(start, stop))
        here = np.arange(chunk.start, chunk.stop)
        for lag in lags:
            inside = self.holds(chunk, lag)
            rows = around[np.where(inside, here - lag, here) - start]
            rows[~inside] = 0.0
            yield rows
