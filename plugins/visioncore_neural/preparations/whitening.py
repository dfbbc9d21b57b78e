"""Preparation that flattens the spatial spectrum of natural pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from visioncore_engine.contracts import PreparationFacts
from visioncore_engine.errors import DataError, Problem
from visioncore_neural.options.preparation import WhiteningOptions
from visioncore_neural.preparations.arrays import replaced
from visioncore_neural.recording import Recording

__all__ = ["Whitening"]


class Whitening:
    """Every channel of every frame under the filter ``R(f) = f exp(-(f / f_0) ** n)``, f in cycles per pixel.

    Olshausen & Field (Nature 1996): against a spectrum of 1/f, with a blur against noise of high frequencies. Mean
    brightness (f = 0) is taken away. A frame is filtered by itself, as if its borders met.

    Parameters
    ----------
    options, facts
        The filter, and the group.
    """

    def __init__(self, options: WhiteningOptions, facts: PreparationFacts) -> None:
        del facts  # nothing depends on the group
        self._f_0, self._n = options.f_0, options.n

    def fit(self, recording: Recording, train: np.ndarray) -> dict[str, Any]:
        """Fit nothing; the numbers are kept so that a checkpoint is complete."""
        del recording, train
        return {"f_0": self._f_0, "n": self._n}

    def apply(self, recording: Recording, state: Mapping[str, Any]) -> Recording:
        """Filter the stimulus; it is then float32, in memory.

        Raises
        ------
        DataError
            Where the stimulus has no space.
        """
        height, width = recording.stim.shape[2:]
        if height == width == 1:
            raise DataError(
                Problem(
                    where=recording.where,
                    key="stim",
                    what="cannot be whitened: it has a single pixel",
                    todo="leave `whitening` out",
                )
            )
        frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
        response = frequency * np.exp(-((frequency / state["f_0"]) ** state["n"]))
        values = np.empty(recording.stim.shape, dtype=np.float32)
        for chunk in recording.chunks():
            with np.errstate(invalid="ignore"):  # a frame that does not exist stays NaN, and no other sees it
                spectrum = np.fft.rfft2(recording.values("stim", chunk))
                values[chunk] = np.fft.irfft2(spectrum * response, s=(height, width))
        return replaced(recording, "stim", values)
