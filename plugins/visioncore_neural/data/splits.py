"""Which frames train, validate and test, where a recording does not say so itself."""

from __future__ import annotations

import hashlib

import numpy as np

from visioncore_engine.data import generator
from visioncore_engine.errors import DataError, Problem
from visioncore_neural.data.windows import Stretches, find_stretches
from visioncore_neural.options.dataset import SplitOptions
from visioncore_neural.recording import SPLITS, Recording

__all__ = ["assign_split"]

_NAMES = ("train", "validation", "test")


def assign_split(recording: Recording, options: SplitOptions) -> np.ndarray:
    """Draw a split over whole trials or blocks, keyed by (seed, session name): other sessions change nothing.

    Trials that hold a repeated clip go to ``repeats``, all of them; trials or blocks of equal stimulus stay together.

    Returns
    -------
    int8 (T,), values of `SPLITS`, -1 for frames in no trial

    Raises
    ------
    DataError
        Where a split that has a share comes out empty, or there are no trials to draw over.
    """
    pieces = _pieces(recording, options)
    split = np.full(recording.num_frames, -1, dtype=np.int8)
    repeats = np.zeros(len(pieces), dtype=bool)
    if recording.repeat_frame is not None:
        inside = np.concatenate([[0], np.cumsum(np.asarray(recording.repeat_frame) >= 0)])
        repeats = inside[pieces.stop] > inside[pieces.start]
    drawn = _draw(recording, pieces, ~repeats, options)
    for start, stop, value in zip(pieces.start, pieces.stop, np.where(repeats, SPLITS["repeats"], drawn), strict=True):
        split[start:stop] = value
    return split


def _pieces(recording: Recording, options: SplitOptions) -> Stretches:
    trials = find_stretches(np.asarray(recording.trial), np.zeros(recording.num_frames, dtype=np.int8))
    if options.by == "trials":
        if len(trials) < 3:
            raise DataError(
                Problem(
                    where=recording.where,
                    key="split.by",
                    what="the recording brings no split, and too few trials to draw one over",
                    given=f"{len(trials)} trials",
                    todo="set `split.by: blocks`",
                )
            )
        return trials
    size = max(round(options.block / recording.dt), 1)
    start = np.concatenate([np.arange(a, b, size) for a, b in zip(trials.start, trials.stop, strict=True)])
    stop = np.concatenate(
        [np.minimum(np.arange(a, b, size) + size, b) for a, b in zip(trials.start, trials.stop, strict=True)]
    )
    return Stretches(start, stop, np.zeros(len(start), dtype=np.int64))


def _draw(recording: Recording, pieces: Stretches, drawn: np.ndarray, options: SplitOptions) -> np.ndarray:
    """Split of each piece; pieces of one stimulus form one lot, and lots are dealt in a random order."""
    lots: dict[bytes, list[int]] = {}
    for piece in np.flatnonzero(drawn):
        frames = slice(int(pieces.start[piece]), int(pieces.stop[piece]))
        content = hashlib.sha256(np.ascontiguousarray(recording.stim[frames]).data).digest()
        lots.setdefault(content, []).append(int(piece))
    members = list(lots.values())
    lengths = pieces.stop - pieces.start
    sizes = np.array([lengths[lot].sum() for lot in members], dtype=np.float64)
    order = generator("split", options.seed, recording.name).permutation(len(members))
    middle = (np.cumsum(sizes[order]) - sizes[order] / 2) / max(sizes.sum(), 1.0)
    choice = np.searchsorted(np.cumsum(options.fractions[:2]), middle, side="right")
    split = np.full(len(pieces), -1, dtype=np.int64)
    for lot, value in zip(order, choice, strict=True):
        split[members[lot]] = value
    empty = [name for i, name in enumerate(_NAMES) if options.fractions[i] > 0 and not (split == i).any()]
    if empty:
        raise DataError(
            Problem(
                where=recording.where,
                key="split.fractions",
                what=f"{' and '.join(empty)} would hold nothing",
                given=f"{len(members)} {options.by} with different stimuli for shares {options.fractions}",
                todo="use shorter blocks (`split.by: blocks`, `split.block`), or other shares",
            )
        )
    return split
