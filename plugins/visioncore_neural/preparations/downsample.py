"""Preparation that makes one frame of several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from visioncore_engine.contracts import PreparationFacts
from visioncore_engine.errors import DataError, Problem
from visioncore_neural.options.preparation import DownsampleOptions
from visioncore_neural.preparations.unfitted import Unfitted
from visioncore_neural.recording import Recording

__all__ = ["Downsample"]

_FAST = 4096  # new frames made at once


class Downsample(Unfitted):
    """``factor`` frames become one, which lasts ``factor * dt``. No new frame holds frames of two trials or splits.

    Frames are counted from the start of each trial (and where the split changes), so that presentations of a repeated
    clip stay aligned. What is left over at the end of a trial becomes a frame that belongs to no trial and no split.
    The number of a trial or split is never averaged; responses follow `valid`, the rest the option of its name.

    Parameters
    ----------
    options, facts
        Factor and rules, and the group.
    """

    def __init__(self, options: DownsampleOptions, facts: PreparationFacts) -> None:
        del facts  # nothing depends on the group
        self._options = options

    def apply(self, recording: Recording, state: Mapping[str, Any]) -> Recording:
        """Make the new frames; they lie in memory.

        Raises
        ------
        DataError
            Where presentations of a clip begin at different frames of it, so that no new frame shows the same of all.
        """
        del state  # nothing was fitted
        frames, whole = self._frames(recording)
        changes: dict[str, Any] = {"affine": dict(recording.affine)}
        for key in ("stim", "behavior", "eyepos"):
            if key in recording.arrays():
                changes[key] = self._inputs(recording, key, frames, changes["affine"])
        changes["robs"], changes["valid"] = self._responses(recording, frames, whole)
        for key in ("trial", "split", "repeat_trial"):
            if key in recording.arrays():
                # Signed, because what belongs nowhere is -1.
                changes[key] = np.asarray(recording.array(key)[frames[:, 0]]).astype(np.int32)
                changes[key][~whole] = -1
        if recording.repeat_frame is not None:
            changes["repeat_frame"] = self._repeat_frame(recording, frames, whole)
            if "repeat_trial" in changes:
                changes["repeat_trial"][changes["repeat_frame"] < 0] = -1
        return replace(recording, dt=recording.dt * self._options.factor, columns=None, fingerprint="", **changes)

    def _frames(self, recording: Recording) -> tuple[np.ndarray, np.ndarray]:
        """Frames of each new one, int64 (new, factor), and which new ones are whole, bool (new,)."""
        trial, split = np.asarray(recording.trial), recording.split
        # Frames in no trial are put together too: `follows` would leave each of them alone.
        edge = np.diff(trial) != 0
        if split is not None:
            edge = edge | (np.diff(np.asarray(split, dtype=np.int64)) != 0)
        bounds = np.concatenate([[0], np.flatnonzero(edge) + 1, [len(trial)]])
        factor = self._options.factor
        frames, whole = [], []
        for start, stop in pairwise(bounds):
            inside = np.arange(start, start + -(-(stop - start) // factor) * factor).reshape(-1, factor)
            whole.append(inside[:, -1] < stop)
            frames.append(np.minimum(inside, stop - 1))
        return np.concatenate(frames), np.concatenate(whole)

    def _inputs(self, recording: Recording, key: str, frames: np.ndarray, affine: dict[str, Any]) -> np.ndarray:
        rule = getattr(self._options, key)
        if rule != "mean":
            return np.asarray(recording.array(key)[frames[:, 0 if rule == "first" else -1]])
        affine.pop(key, None)  # an average of values is no stored number
        new = np.empty((len(frames), *recording.array(key).shape[1:]), dtype=np.float32)
        for start in range(0, len(frames), _FAST):
            some = frames[start : start + _FAST]
            new[start : start + _FAST] = recording.values(key, some).mean(axis=1)
        return new

    def _responses(self, recording: Recording, frames: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Counts are summed and rates averaged, over the responses that count."""
        counts = recording.kind == "counts"
        robs = np.zeros((len(frames), recording.num_units))
        shared = recording.valid.ndim == 1
        valid = np.zeros((len(frames), 1 if shared else recording.num_units), dtype=bool)
        together = np.all if self._options.valid == "all" else np.any
        for start in range(0, len(frames), _FAST):
            chunk = slice(start, start + _FAST)
            mask = recording.validity(frames[chunk])
            responses = recording.counts(frames[chunk]).astype(np.float64)
            responses[~np.broadcast_to(mask, responses.shape)] = 0.0
            total = responses.sum(axis=1)
            robs[chunk] = total if counts else total / np.maximum(mask.sum(axis=1), 1)
            valid[chunk] = together(mask, axis=1) & whole[chunk, None]
        return _compact(robs) if counts else robs.astype(np.float32), valid[:, 0] if shared else valid

    def _repeat_frame(self, recording: Recording, frames: np.ndarray, whole: np.ndarray) -> np.ndarray:
        """Number the new frames of repeated clips."""
        old = np.asarray(recording.array("repeat_frame"), dtype=np.int64)[frames]
        shown = whole & (old[:, 0] >= 0) & (np.diff(old, axis=1) == 1).all(1)
        first = np.unique(old[shown, 0])
        if (np.diff(first) < self._options.factor).any():
            raise DataError(
                Problem(
                    where=recording.where,
                    key="repeat_frame",
                    what="presentations of a clip begin at different frames of it: no new frame would show the same "
                    "of all of them",
                    given=f"factor {self._options.factor}",
                    todo="choose another factor, or let trials begin where presentations do",
                )
            )
        new: np.ndarray = np.searchsorted(first, old[:, 0]).astype(np.int32)
        new[~shown] = -1
        return new


def _compact(counts: np.ndarray) -> np.ndarray:
    """Counts as the smallest unsigned integers that hold them; fractions and what is negative stay float32."""
    if (counts != np.floor(counts)).any() or counts.min(initial=0) < 0:
        return counts.astype(np.float32)
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))
