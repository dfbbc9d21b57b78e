"""Everything that can be known to be wrong, or looks wrong, with one recording (`visioncore data check`)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from visioncore_engine.errors import Problem
from visioncore_neural.data.arrays import MappedArray
from visioncore_neural.data.checks import input_problems, response_problems, split_problems
from visioncore_neural.data.fingerprint import array_hash
from visioncore_neural.data.folder import read_header
from visioncore_neural.data.windows import Stretches, find_stretches
from visioncore_neural.recording import SPLITS, Recording

__all__ = ["Audit", "audit"]

_FASTEST = 1000.0  # mean spikes per second that no cell reaches
_WIDEST = 90.0  # degrees that no eye turns


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes
    ----------
    errors
        Training would refuse the recording, or be wrong.
    warnings
        A person should look.
    """

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def audit(recording: Recording, *, frames: int = 1) -> Audit:
    """Look at every value of a recording.

    Parameters
    ----------
    recording
        As read, its headers are right already.
    frames
        Frames of one trial and split that a window needs, history and all.
    """
    sides = tuple(key for key in ("behavior", "eyepos") if key in recording.arrays())
    errors = [
        *_changed_files(recording),
        *response_problems(recording),
        *input_problems(recording, ("stim", *sides)),
        *split_problems(recording),
    ]
    stretches = _stretches(recording)
    errors += _too_short(recording, stretches, frames)
    errors += _unequal_repeats(recording)
    shared = list(_shared_stimuli(recording, stretches))
    has_space = recording.stim.shape[2] * recording.stim.shape[3] > 1
    warnings = [*_constant_units(recording), *_implausible(recording), *_torn_trials(recording)]
    # Few values cannot help but come again: only pictures that do are a leak.
    (errors if has_space else warnings).extend(shared)
    return Audit(tuple(errors), tuple(warnings))


def _stretches(recording: Recording) -> Stretches:
    trial = np.asarray(recording.trial)
    split = np.zeros_like(trial) if recording.split is None else np.asarray(recording.split)
    return find_stretches(trial, split)


def _changed_files(recording: Recording) -> Iterator[Problem]:
    """Arrays of a session folder that no longer are what ``session.json`` says."""
    if not isinstance(recording.stim, MappedArray):
        return
    folder = Path(recording.path)
    for key, entry in read_header(folder)["arrays"].items():
        if array_hash(recording.array(key)) != entry["sha256"]:
            what = "the values are not those that were written (SHA-256 differs)"
            yield Problem(
                where=str(folder / entry.get("file", f"{key}.npy")),
                key=key,
                what=what,
                todo="convert the session again",
            )


def _too_short(recording: Recording, stretches: Stretches, frames: int) -> Iterator[Problem]:
    train = stretches.split == SPLITS["train"]
    longest = int((stretches.stop - stretches.start)[train].max()) if train.any() else 0
    if longest < frames:
        yield Problem(
            where=recording.where,
            key="trial",
            what=f"a window needs {frames} frames of one trial and split in a row to train on",
            given=f"the longest run has {longest}",
        )


def _unequal_repeats(recording: Recording) -> Iterator[Problem]:
    """Frames that say they repeat each other but show something else."""
    if recording.repeat_frame is None:
        return
    repeat = np.asarray(recording.repeat_frame)
    first_of: dict[int, tuple[int, bytes]] = {}
    for frame in np.flatnonzero(repeat >= 0):
        content = np.ascontiguousarray(recording.stim[int(frame)]).tobytes()
        first, shown = first_of.setdefault(int(repeat[frame]), (int(frame), content))
        if shown != content:
            what = f"frames {first} and {int(frame)} are one frame of a repeated clip but their stimuli differ"
            yield Problem(where=recording.where, key="repeat_frame", what=what)
            return


def _shared_stimuli(recording: Recording, stretches: Stretches) -> Iterator[Problem]:
    """Whole trials whose stimulus stands in training and in a held-out split."""
    train: dict[bytes, int] = {}
    held_out: list[tuple[int, int, bytes]] = []
    for start, stop, split in zip(stretches.start, stretches.stop, stretches.split, strict=True):
        content = hashlib.sha256(np.ascontiguousarray(recording.stim[int(start) : int(stop)]).data).digest()
        if split == SPLITS["train"]:
            train.setdefault(content, int(start))
        else:
            held_out.append((int(split), int(start), content))
    names = {value: name for name, value in SPLITS.items()}
    for value, name in names.items():
        both = [(start, train[content]) for split, start, content in held_out if split == value and content in train]
        if both:
            yield Problem(
                where=recording.where,
                key="split",
                what=f"{len(both)} trials show the same stimulus in train and {name}; "
                f"first: frame {both[0][0]} ({name}) and frame {both[0][1]} (train)",
                todo="keep equal stimuli in one split",
            )


def _constant_units(recording: Recording) -> Iterator[Problem]:
    low = np.full(recording.num_units, np.inf)
    high = np.full(recording.num_units, -np.inf)
    for chunk in recording.chunks():
        valid = recording.validity(chunk)
        rows = recording.counts(chunk).astype(np.float64)
        low = np.minimum(low, np.where(valid, rows, np.inf).min(0))
        high = np.maximum(high, np.where(valid, rows, -np.inf).max(0))
    silent = [recording.units[i] for i in np.flatnonzero(low == high)]
    if silent:
        what = f"{len(silent)} units have the same response in every valid frame; correlation is undefined for them"
        yield Problem(where=recording.where, key="robs", what=what, given=", ".join(silent[:5]))
    never = [recording.units[i] for i in np.flatnonzero(np.isinf(low))]
    if never:
        what = f"{len(never)} units are never valid"
        yield Problem(where=recording.where, key="valid", what=what, given=", ".join(never[:5]))


def _implausible(recording: Recording) -> Iterator[Problem]:
    """Units of measurement that look wrong: milliseconds for seconds, pixels for degrees, rates for counts."""
    total, num, fractional, eye = 0.0, 0, False, 0.0
    for chunk in recording.chunks():
        valid = np.broadcast_to(recording.validity(chunk), recording.counts(chunk).shape)
        rows = recording.counts(chunk)[valid].astype(np.float64)
        total, num = total + float(np.nansum(rows)), num + rows.size
        fractional = fractional or bool((np.nan_to_num(rows) % 1 != 0).any())
        if recording.eyepos is not None:
            gaze = np.abs(recording.values("eyepos", chunk))[valid.any(-1)]
            eye = max(eye, float(np.max(gaze, initial=0.0, where=np.isfinite(gaze))))
    rate = total / max(num, 1) / recording.dt
    if recording.kind == "counts" and rate > _FASTEST:
        given = f"{rate:.0f} per second at dt = {recording.dt:g} s"
        what = "the mean response is faster than any cell; is `dt` in seconds, and are these counts?"
        yield Problem(where=recording.where, key="dt", what=what, given=given)
    if recording.dt > 0.5:
        what = "is long for a frame; it is given in seconds"
        yield Problem(where=recording.where, key="dt", what=what, given=f"{recording.dt:g}")
    if recording.kind == "counts" and fractional:
        yield Problem(
            where=recording.where, key="robs", what="counts should be whole numbers", todo="say `kind: rates`"
        )
    if eye > _WIDEST:
        what = "the eye turns further than any eye; is it in degrees?"
        yield Problem(where=recording.where, key="eyepos", what=what, given=f"{eye:g}")


def _torn_trials(recording: Recording) -> Iterator[Problem]:
    """Trial numbers that come back after another trial."""
    trial = np.asarray(recording.trial)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(trial)) + 1])
    numbers = trial[starts]
    kept = numbers >= 0
    values, counts = np.unique(numbers[kept], return_counts=True)
    torn = values[counts > 1]
    if torn.size:
        what = f"{len(torn)} trial numbers come back after other frames; each run counts as a trial of its own"
        yield Problem(where=recording.where, key="trial", what=what, given=f"first: {torn[0]}")
