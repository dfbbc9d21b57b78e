"""Preparations that shift and scale: nothing is read or copied, only the recording's affine maps change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from visioncore_engine.contracts import PreparationFacts
from visioncore_engine.errors import DataError, Problem
from visioncore_neural.options.preparation import MaxNormOptions, PixelNormOptions, StandardizeOptions
from visioncore_neural.preparations.arrays import chosen_channels
from visioncore_neural.recording import Recording

__all__ = ["MaxNorm", "PixelNorm", "Standardize"]


class PixelNorm:
    """``(pixel - center) / range`` with given numbers.

    Parameters
    ----------
    options, facts
        The numbers, and the group.
    """

    def __init__(self, options: PixelNormOptions, facts: PreparationFacts) -> None:
        del facts  # nothing depends on the group
        self._center, self._range = options.center, options.range

    def fit(self, recording: Recording, train: np.ndarray) -> dict[str, Any]:
        """Fit nothing; the numbers are kept so that a checkpoint is complete."""
        del recording, train
        return {"center": self._center, "range": self._range}

    def apply(self, recording: Recording, state: Mapping[str, Any]) -> Recording:
        """Rescale the stimulus."""
        return recording.rescaled("stim", 1.0 / state["range"], -state["center"] / state["range"])


class MaxNorm:
    """``value / m``, m the largest magnitude over the training frames, per channel.

    Values that are not finite count for nothing.

    Parameters
    ----------
    options, facts
        Which array, and the group.
    """

    def __init__(self, options: MaxNormOptions, facts: PreparationFacts) -> None:
        del facts  # each recording is fitted by itself
        self._of, self._channels = options.of, options.channels

    def fit(self, recording: Recording, train: np.ndarray) -> dict[str, Any]:
        """Largest magnitude of each channel, ``{"max": [...]}``; 1 for channels that were not chosen.

        Raises
        ------
        DataError
            Where a channel is 0 in all training frames, or has no finite value there.
        """
        channels = chosen_channels(recording, self._of, self._channels)
        largest = np.zeros(recording.array(self._of).shape[1])
        for values in _channels(recording, self._of, train):
            finite = np.where(np.isfinite(values), np.abs(values), 0.0)
            largest = np.maximum(largest, finite.max(axis=0, initial=0.0))
        zero = channels[~(largest[channels] > 0)]
        if zero.size:
            what = "is 0 in all training frames, so it has no largest magnitude to be divided by"
            raise DataError(
                Problem(
                    where=recording.where,
                    key=self._of,
                    what=what,
                    given=f"channel {int(zero[0])}",
                    todo="leave it out of `max_norm` (`channels`)",
                )
            )
        largest[np.setdiff1d(np.arange(len(largest)), channels)] = 1.0
        return {"max": largest.tolist()}

    def apply(self, recording: Recording, state: Mapping[str, Any]) -> Recording:
        """Rescale the array."""
        largest = np.reshape(np.asarray(state["max"]), (-1, 1, 1) if self._of == "stim" else (-1,))
        return recording.rescaled(self._of, 1.0 / largest, 0.0)


class Standardize:
    """``(value - mean) / standard deviation`` over the training frames, per channel.

    The standard deviation is that of the population (``ddof = 0``). Values that are not finite count for nothing.

    Parameters
    ----------
    options, facts
        Which arrays, and the group.
    """

    def __init__(self, options: StandardizeOptions, facts: PreparationFacts) -> None:
        del facts  # each recording is fitted by itself
        self._of = options.of

    def fit(self, recording: Recording, train: np.ndarray) -> dict[str, Any]:
        """Mean and standard deviation of each channel, ``{array: {"mean": [...], "std": [...]}}``.

        Raises
        ------
        DataError
            Where a channel does not vary over the training frames, or has no finite value there.
        """
        return {key: self._moments(recording, key, train) for key in self._of}

    def apply(self, recording: Recording, state: Mapping[str, Any]) -> Recording:
        """Rescale the arrays."""
        for key, moments in state.items():
            shape = (-1, 1, 1) if key == "stim" else (-1,)
            mean, deviation = (np.reshape(np.asarray(moments[name]), shape) for name in ("mean", "std"))
            recording = recording.rescaled(key, 1.0 / deviation, -mean / deviation)
        return recording

    def _moments(self, recording: Recording, key: str, train: np.ndarray) -> dict[str, list[float]]:
        num = total = np.zeros(recording.array(key).shape[1])
        for values in _channels(recording, key, train):
            num = num + np.isfinite(values).sum(0)
            total = total + np.nansum(values, axis=0)
        mean = total / np.maximum(num, 1)
        squares = np.zeros_like(mean)
        for values in _channels(recording, key, train):  # a second pass: the difference of large sums would cancel
            squares = squares + np.nansum((values - mean) ** 2, axis=0)
        deviation = np.sqrt(squares / np.maximum(num, 1))
        flat = np.flatnonzero(~(deviation > 0))
        if flat.size:
            raise DataError(
                Problem(
                    where=recording.where,
                    key=key,
                    what="does not vary over the training frames, so it cannot be standardized",
                    given=f"channel {int(flat[0])}",
                    todo="leave it out of `standardize`",
                )
            )
        return {"mean": mean.tolist(), "std": deviation.tolist()}


def _channels(recording: Recording, key: str, train: np.ndarray) -> Iterator[np.ndarray]:
    """Training values in chunks, float64 (values, channels), NaN where not finite."""
    for chunk in recording.chunks():
        values = recording.values(key, chunk)[train[chunk]].astype(np.float64)
        values = np.moveaxis(values, 1, -1).reshape(-1, values.shape[1])
        yield np.where(np.isfinite(values), values, np.nan)
