"""What a recording's headers must satisfy; no data are read."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from visioncore_engine.errors import Problem

if TYPE_CHECKING:
    from visioncore_neural.recording import Recording

__all__ = ["shape_problems"]

_DTYPES = {
    "stim": "biuf",
    "robs": "biuf",
    "valid": "b",
    "trial": "iu",
    "split": "iu",
    "repeat_frame": "iu",
    "repeat_trial": "iu",
    "behavior": "biuf",
    "eyepos": "iuf",
}
_WORDS = {"b": "bool", "i": "integer", "u": "unsigned integer", "f": "float"}
_NDIM = {"stim": (4,), "robs": (2,), "valid": (1, 2), "behavior": (2,), "eyepos": (2,)}
_AXES = {"stim": "(T, C, H, W)", "robs": "(T, N)", "valid": "(T,) or (T, N)", "behavior": "(T, K)", "eyepos": "(T, 2)"}


def shape_problems(recording: Recording) -> list[Problem]:
    """Everything wrong with dtypes, shapes, lengths, names and time step; empty where nothing is."""
    problems: list[Problem] = []

    def wrong(key: str, what: str, given: object = None, todo: str = "") -> None:
        problems.append(
            Problem(where=recording.where, key=key, what=what, given=None if given is None else str(given), todo=todo)
        )

    arrays = recording.arrays()
    for key, array in arrays.items():
        kinds, ndims = _DTYPES[key], _NDIM.get(key, (1,))
        if array.dtype.kind not in kinds:
            wrong(key, f"must be {' or '.join(_WORDS[kind] for kind in kinds)}", f"dtype {array.dtype}")
        if array.ndim not in ndims:
            todo = "give the order of its axes with the reader's `axes`" if key == "stim" else ""
            wrong(key, f"must have shape {_AXES.get(key, '(T,)')}", array.shape, todo)
    if problems:
        return problems
    num_frames, num_stored = recording.stim.shape[0], recording.robs.shape[1]
    for key, array in arrays.items():
        if array.shape[0] != num_frames:
            wrong(key, f"the stimulus has {num_frames} frames but this has {array.shape[0]}", array.shape)
    if num_frames == 0:
        wrong("stim", "has no frame", recording.stim.shape)
    if recording.valid.ndim == 2 and recording.valid.shape[1] != num_stored:
        wrong("valid", f"must have one column, or one per response column ({num_stored})", recording.valid.shape)
    if recording.eyepos is not None and recording.eyepos.shape[1] != 2:
        wrong("eyepos", "must have two columns, horizontal and vertical", recording.eyepos.shape)
    num_used = num_stored if recording.columns is None else len(recording.columns)
    if len(recording.units) != num_used:
        wrong("units", f"there are {num_used} response columns but {len(recording.units)} unit ids")
    if not recording.units:
        wrong("robs", "has no unit", recording.robs.shape)
    twice = [unit for unit, times in Counter(recording.units).items() if times > 1]
    if twice:
        wrong("units", "unit ids must differ; these stand there more than once", ", ".join(twice[:5]))
    if recording.behavior is not None and len(recording.behavior_names) != recording.behavior.shape[1]:
        wrong(
            "behavior",
            f"has {recording.behavior.shape[1]} columns but {len(recording.behavior_names)} names",
        )
    if not (math.isfinite(recording.dt) and recording.dt > 0):
        wrong("dt", "seconds per frame must be a positive number", recording.dt)
    elif recording.dt > 2.0:
        wrong("dt", "is in seconds per frame; more than two look like milliseconds", recording.dt, "divide by 1000")
    for key, affine in recording.affine.items():
        if not (np.isfinite(affine.scale).all() and np.isfinite(affine.offset).all()):
            wrong(key, "scale and offset must be finite")
    return problems
