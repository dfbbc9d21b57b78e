"""What readers and preparations of recordings are tested with, by `visioncore_engine.testing`.

::

    from visioncore_engine.testing import Case
    from visioncore_neural.testing import preparation_scene, reader_scene

    def write(folder, recording):  # in the format of the lab
        path = folder / f"{recording.name}.lab"
        ...
        return path

    CASES = [
        Case("reader", "lab_format", scene=reader_scene(write)),
        Case("preparation", "detrend", scene=preparation_scene),
    ]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from visioncore_engine.contracts import PreparationFacts, ReaderFacts
from visioncore_engine.testing import Case
from visioncore_engine.testing.folder import fresh_folder
from visioncore_engine.testing.scenes.preparation import PreparationScene
from visioncore_engine.testing.scenes.reader import ReaderScene
from visioncore_neural.recording import SPLITS, Recording

__all__ = ["example_recording", "preparation_scene", "reader_scene", "recording_view"]

_LONG = 600  # frames of a trial, so that ten of them are not read at once
_REPEATS = 2  # trials at the end that show one clip
_PREPARED = ("stim", "behavior", "eyepos")
_SPLITS = tuple(SPLITS[name] for name in ("train", "train", "validation", "train", "test", "train"))


def example_recording(seed: int = 0, *, trial_frames: int = 20, **changes: Any) -> Recording:
    """Make a small recording with every array: ten trials, in all splits, the last two showing one clip.

    Parameters
    ----------
    seed
        Another seed gives other values.
    trial_frames
        Frames of a trial.
    **changes
        Fields of `Recording` that differ.
    """
    draws = np.random.default_rng(seed)
    trial = np.arange(10 * trial_frames) // trial_frames
    num, repeated = len(trial), trial >= 10 - _REPEATS
    stim = draws.integers(0, 256, (num, 1, 3, 4), dtype=np.uint8)
    stim[-trial_frames:] = stim[-2 * trial_frames : -trial_frames]
    fields: dict[str, Any] = {
        "name": "m1_a",
        "subject": "m1",
        "dt": 0.02,
        "stim": stim,
        "robs": draws.poisson(1.5, (num, 3)).astype(np.uint8),
        "valid": draws.random(num) > 0.2,
        "trial": trial.astype(np.int32),
        "units": ("u0", "u1", "u2"),
        "split": np.where(repeated, SPLITS["repeats"], np.array(_SPLITS)[trial % 6]).astype(np.int8),
        "repeat_frame": np.where(repeated, np.arange(num) % trial_frames, -1).astype(np.int32),
        "repeat_trial": np.where(repeated, trial - (10 - _REPEATS), -1).astype(np.int32),
        "behavior": draws.normal(size=(num, 2)).astype(np.float32),
        "behavior_names": ("running", "pupil"),
        "eyepos": draws.normal(size=(num, 2)).astype(np.float32),
        "degrees_per_pixel": 0.5,
    }
    return Recording(**{**fields, **changes})


def recording_view(recording: Recording) -> dict[str, Any]:
    """Values of a recording's arrays as float64, whatever they are stored as, and what is said of them."""
    everything = slice(None)
    values = {
        name: recording.values(name, everything) if name in _PREPARED else np.asarray(array)
        for name, array in recording.arrays().items()
    }
    words = ("name", "subject", "dt", "units", "behavior_names", "degrees_per_pixel", "kind")
    said = {name: getattr(recording, name) for name in words}
    return {**{name: np.asarray(array, dtype=np.float64) for name, array in values.items()}, **said}


def reader_scene(write: Callable[[Path, Recording], Path], **changes: Any) -> Callable[[Case], ReaderScene]:
    """Make the scene of a reader from the function that writes its format.

    Parameters
    ----------
    write
        ``write(folder, recording)`` writes a recording into an empty folder and returns the path that is read.
    **changes
        Fields of the recording that the format does not hold as they are, such as ``degrees_per_pixel=None``.

    Returns
    -------
    For `Case.scene`
    """

    def scene(case: Case) -> ReaderScene:
        del case  # all readers of the format meet the same
        recording = example_recording(**changes)
        path = write(fresh_folder(), recording)
        return ReaderScene(ReaderFacts(path), recording_view(recording), recording_view)

    return scene


def preparation_scene(case: Case) -> PreparationScene:
    """Make the scene of a preparation: for `Case.scene`."""
    del case  # all of them meet the same
    stim = np.random.default_rng(1).normal(100.0, 30.0, (10 * _LONG, 2, 3, 4)).astype(np.float32)
    recording = example_recording(trial_frames=_LONG, stim=stim)
    split = np.asarray(recording.split)
    return PreparationScene(
        facts=PreparationFacts(group=recording.name),
        recording=recording,
        train=(split == SPLITS["train"]) & recording.valid_frames(),
        segments=np.asarray(recording.trial),  # no trial of this recording lies in two splits
        view=_prepared,
        changed=_changed,
    )


def _prepared(recording: Recording) -> Mapping[str, np.ndarray]:
    return {name: recording.values(name, slice(None)) for name in _PREPARED if name in recording.arrays()}


def _changed(recording: Recording, frames: np.ndarray, value: float) -> Recording:
    arrays: dict[str, Any] = {name: np.array(recording.array(name)) for name in _PREPARED}
    for array in arrays.values():
        array[frames] = value
    return dataclasses.replace(recording, **arrays)
