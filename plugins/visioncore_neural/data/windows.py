"""Where windows lie in a recording, and what each of them may predict.

A **stretch** is a run of frames of one trial and one split. A frame is **predictable** when it and the `history` frames
before it lie in one stretch and exist (a frame whose stimulus or side input is not finite does not exist). So history
crosses neither a trial nor a split edge: no target and no stimulus frame is shared between splits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visioncore_neural.recording import Recording

__all__ = ["Stretches", "Windows", "find_stretches", "missing_frames", "needed_frames", "predictable_frames", "tile"]


@dataclass(frozen=True)
class Stretches:
    """Runs of frames of one trial and one split, in order.

    Attributes
    ----------
    start, stop
        int64 (S,): first frame, and one past the last.
    split
        int64 (S,): value of `recording.SPLITS`.
    """

    start: np.ndarray
    stop: np.ndarray
    split: np.ndarray

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class Windows:
    """Windows of one split of one recording.

    Attributes
    ----------
    first
        int64 (W,): frame of each window's first prediction.
    count
        int64 (W,): predicted frames before the stretch ends, at most `length`; the rest of the window is padding.
    weight
        float64 (W,): frames with at least one valid, predictable response.
    """

    first: np.ndarray
    count: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


def find_stretches(trial: np.ndarray, split: np.ndarray) -> Stretches:
    """Cut a recording at every change of trial or split; frames in no trial or no split are in no stretch.

    Parameters
    ----------
    trial, split
        int (T,).
    """
    trial, split = np.asarray(trial), np.asarray(split)
    edges = np.flatnonzero((np.diff(trial) != 0) | (np.diff(split) != 0)) + 1
    bounds = np.concatenate([[0], edges, [len(trial)]]).astype(np.int64)
    start, stop = bounds[:-1], bounds[1:]
    kept = (trial[start] >= 0) & (split[start] >= 0)
    return Stretches(start[kept], stop[kept], split[start[kept]].astype(np.int64))


def missing_frames(recording: Recording, side: tuple[str, ...]) -> np.ndarray:
    """Frames whose stimulus or side input is not finite, bool (T,). Integers are not read."""
    missing = np.zeros(recording.num_frames, dtype=bool)
    for key in ("stim", *side):
        array = recording.array(key)
        if array.dtype.kind != "f":
            continue
        for chunk in recording.chunks():
            rows = np.asarray(array[chunk])
            missing[chunk] |= ~np.isfinite(rows.reshape(len(rows), -1)).all(1)
    return missing


def predictable_frames(stretches: Stretches, missing: np.ndarray, history: int) -> np.ndarray:
    """Frames that have all their history, bool (T,).

    Parameters
    ----------
    stretches
        The recording's stretches.
    missing
        bool (T,), frames that do not exist.
    history
        Frames needed before a predicted one.
    """
    num_frames = len(missing)
    frames = np.arange(num_frames, dtype=np.int64)
    since = np.full(num_frames, num_frames, dtype=np.int64)  # frames in no stretch begin after the end: never predicted
    lengths = stretches.stop - stretches.start
    since[_members(stretches)] = np.repeat(stretches.start, lengths)
    after_gap = np.maximum.accumulate(np.where(missing, frames + 1, 0)) if num_frames else frames
    return np.asarray(frames - np.maximum(since, after_gap) >= history, dtype=bool)


def _members(stretches: Stretches) -> np.ndarray:
    """Every frame that lies in a stretch, in order, int64."""
    lengths = stretches.stop - stretches.start
    before = np.cumsum(lengths) - lengths
    return np.asarray(np.arange(lengths.sum(), dtype=np.int64) + np.repeat(stretches.start - before, lengths))


def tile(stretches: Stretches, usable: np.ndarray, history: int, length: int) -> Windows:
    """Lay windows over each stretch so that every usable frame is predicted by exactly one of them.

    Windows start `history` frames into the stretch and follow each other without overlap; the last one is padded, and
    windows without a usable frame are left out.

    Parameters
    ----------
    stretches
        The stretches of one split.
    usable
        bool (T,): predictable, with at least one valid response.
    history, length
        Frames before the first prediction, and predictions of a window.
    """
    begin = stretches.start + history
    num = np.maximum(-(-(stretches.stop - begin) // length), 0)
    before = np.cumsum(num) - num
    step = np.arange(num.sum(), dtype=np.int64) - np.repeat(before, num)
    first = np.repeat(begin, num) + step * length
    count = np.minimum(np.repeat(stretches.stop, num) - first, length)
    total = np.concatenate([[0], np.cumsum(usable, dtype=np.int64)])
    weight = (total[first + count] - total[first]).astype(np.float64)
    kept = weight > 0
    return Windows(first[kept], count[kept], weight[kept])


def needed_frames(predicted: np.ndarray, history: int) -> np.ndarray:
    """Input frames that some prediction of the window needs.

    Parameters
    ----------
    predicted
        bool (B, L), predictions that count.
    history
        Frames that each needs before itself.

    Returns
    -------
    bool (B, history + L)
    """
    num, length = predicted.shape
    total = np.zeros((num, length + 1), dtype=np.int64)
    np.cumsum(predicted, axis=1, out=total[:, 1:])
    frame = np.arange(history + length)
    lowest, highest = np.maximum(frame - history, 0), np.minimum(frame + 1, length)
    return np.asarray(total[:, highest] > total[:, lowest])
