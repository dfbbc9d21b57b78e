"""Predicted and observed rates over time. T frames, N units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visioncore_engine.contracts import Evaluation, GroupSpec
from visioncore_engine.errors import DataError, Problem
from visioncore_neural.responses import response_task, responses_of

__all__ = ["FRAME", "Trace", "predicted_trace", "smoothed"]

FRAME = "frame"
"""Tag that says which frame of the recording a prediction is for."""


@dataclass(frozen=True)
class Trace:
    """Predictions of a split in the order of the recording.

    Attributes
    ----------
    frames
        int64 (T,), rising: frames of the recording.
    rates, responses
        float64 (T, N), per frame; NaN where `valid` is False.
    valid
        bool (T, N).
    """

    frames: np.ndarray
    rates: np.ndarray
    responses: np.ndarray
    valid: np.ndarray

    def longest_stretch(self, most: int) -> slice:
        """First `most` rows of the longest run of frames without a gap.

        Parameters
        ----------
        most
            Rows at most.
        """
        breaks = np.flatnonzero(np.diff(self.frames) != 1) + 1
        starts, stops = np.r_[0, breaks], np.r_[breaks, len(self.frames)]
        longest = int((stops - starts).argmax())
        return slice(int(starts[longest]), int(min(stops[longest], starts[longest] + most)))


def predicted_trace(evaluation: Evaluation, group: GroupSpec) -> Trace:
    """Run a session's windows of the evaluated split, and put its predictions in order.

    Raises
    ------
    DataError
        Where the data do not say which frame a prediction is for, or the session has no window.
    """
    task, target = response_task(group)
    parts: list[tuple[np.ndarray, ...]] = []
    for batch, outputs in evaluation.batches([group.name]):
        (own,), (output,) = batch.groups, outputs
        if FRAME not in own.tags:
            raise DataError(Problem(where=group.name, what=f"predictions have no tag {FRAME!r}, so they have no order"))
        rates, responses, valid = (value.flatten(0, 1).cpu().numpy() for value in responses_of(output, own, task))
        parts.append((own.tags[FRAME].flatten().cpu().numpy(), rates, responses, valid))
    if not parts:
        raise DataError(Problem(where=group.name, what=f"has no window in split {evaluation.split!r}"))
    frames, rates, responses, valid = (np.concatenate(part) for part in zip(*parts, strict=True))
    kept = np.flatnonzero(frames >= 0)
    kept = kept[frames[kept].argsort(kind="stable")]
    valid = valid[kept].reshape(len(kept), target.size)
    return Trace(
        frames[kept],
        np.where(valid, rates[kept], np.nan).astype(np.float64),
        np.where(valid, responses[kept], np.nan).astype(np.float64),
        valid,
    )


def smoothed(values: np.ndarray, width: float) -> np.ndarray:
    """Gaussian average over time of values (T,) or (T, N), over what is not NaN; NaN stays NaN.

    Parameters
    ----------
    values
        float64, frames first.
    width
        Standard deviation in frames; 0 changes nothing.
    """
    if width <= 0:
        return values.copy()
    reach = int(np.ceil(4 * width))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    known = ~np.isnan(values)
    flat, present = np.where(known, values, 0.0).reshape(len(values), -1), known.reshape(len(values), -1)
    total = np.stack([_convolved(column, kernel) for column in flat.T], axis=1)
    weight = np.stack([_convolved(column.astype(np.float64), kernel) for column in present.T], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known, (total / weight).reshape(values.shape), np.nan)


def _convolved(column: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    reach = len(kernel) // 2
    return np.asarray(np.convolve(column, kernel)[reach : reach + len(column)])
