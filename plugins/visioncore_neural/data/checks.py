"""What is wrong with the content of a recording, as far as training must know. `audit` looks further."""

from __future__ import annotations

import numpy as np

from visioncore_engine.errors import Problem
from visioncore_neural.recording import SPLITS, Recording

__all__ = ["input_problems", "response_problems", "split_problems"]


def response_problems(recording: Recording) -> list[Problem]:
    """Find valid responses that are not finite or negative, and recordings in which nothing is valid."""
    problems = []
    bad = _Bad(recording, "robs")
    negative = _Bad(recording, "robs")
    anything = False
    for chunk in recording.chunks():
        valid = recording.validity(chunk)
        rows = recording.counts(chunk)
        anything = anything or bool(valid.any())
        if rows.dtype.kind == "f":
            bad.add(chunk, ~np.isfinite(rows) & valid)
        if rows.dtype.kind in "fi":
            negative.add(chunk, (np.nan_to_num(rows) < 0) & valid)
    if bad.num:
        problems.append(bad.problem("valid responses are not finite", "mark them invalid"))
    if negative.num:
        problems.append(negative.problem("valid responses are negative", "counts and rates are >= 0"))
    if not anything:
        problems.append(Problem(where=recording.where, key="valid", what="no response is valid in any frame"))
    return problems


def input_problems(recording: Recording, keys: tuple[str, ...]) -> list[Problem]:
    """Frames that are valid although their stimulus or side input is not finite.

    A NaN in an invalid frame is legal: such a frame does not exist, and what would need it is not predicted.
    """
    problems = []
    for key in keys:
        array = recording.array(key)
        if array.dtype.kind != "f":
            continue
        bad = _Bad(recording, key)
        for chunk in recording.chunks():
            rows = np.asarray(array[chunk]).reshape(chunk.stop - chunk.start, -1)
            bad.add(chunk, ~np.isfinite(rows) & recording.validity(chunk).any(-1, keepdims=True))
        if bad.num:
            problems.append(bad.problem("values are not finite in frames that are valid", "mark these frames invalid"))
    return problems


def split_problems(recording: Recording) -> list[Problem]:
    """Values of a recording's own split that mean nothing, and repeats of one clip that stand in several splits."""
    if recording.split is None:
        return []
    split = np.asarray(recording.split)
    problems = []
    wrong = (split < -1) | (split > max(SPLITS.values()))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        meaning = ", ".join(f"{value} {name}" for name, value in SPLITS.items())
        what = f"{int(wrong.sum())} values have no meaning ({meaning}, -1 none); first at frame {first}"
        problems.append(Problem(where=recording.where, key="split", what=what, given=str(split[first])))
    if recording.repeat_frame is not None:
        repeat = np.asarray(recording.repeat_frame)
        frames = np.flatnonzero((repeat >= 0) & (split >= 0))
        _, first_of, which = np.unique(repeat[frames], return_index=True, return_inverse=True)
        strays = frames[split[frames] != split[frames[first_of]][which]]
        if strays.size:
            what = f"repeats of one clip must be in one split; {len(strays)} frames are not, first frame {strays[0]}"
            problems.append(Problem(where=recording.where, key="split", what=what))
    return problems


class _Bad:
    """Counts bad values and remembers the first."""

    def __init__(self, recording: Recording, key: str) -> None:
        self._recording, self._key = recording, key
        self.num = 0
        self._first: tuple[int, int] | None = None

    def add(self, chunk: slice, bad: np.ndarray) -> None:
        self.num += int(bad.sum())
        if self._first is None and bad.any():
            frame, column = np.argwhere(bad)[0]
            self._first = int(chunk.start + frame), int(column)

    def problem(self, what: str, todo: str) -> Problem:
        frame, column = self._first or (0, 0)
        place = f"first at frame {frame}"
        if self._key == "robs":
            place += f", unit {self._recording.units[column]!r}"
        elif self._key != "stim":
            place += f", column {column}"
        return Problem(where=self._recording.where, key=self._key, what=f"{self.num} {what}; {place}", todo=todo)
