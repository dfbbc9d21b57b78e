"""Cases of built-in data sets: simulated, and on disk."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from conformance_readers import ARCHIVED, write_npz

from visioncore_engine.testing import Case, Given
from visioncore_engine.testing.folder import fresh_folder
from visioncore_engine.testing.scenes.dataset import DatasetScene
from visioncore_neural.data.folder import write_session
from visioncore_neural.recording import SPLITS
from visioncore_neural.testing import example_recording

__all__ = ["CASES", "SYNTHETIC", "sessions"]

SYNTHETIC = {
    "num_sessions": 2,
    "num_units": 3,
    "duration": 20.0,
    "dt": 0.05,
    "trial": 2.0,
    "size": 12,
    "num_repeats": 2,
    "window": {"length": 3},
}


@cache
def sessions(seed: int, *, held_out: int = 0) -> Path:
    """Folder of two sessions; `held_out` is the seed of what is not trained on."""
    root = fresh_folder()
    for number, name in enumerate(("m1_a", "m2_a")):
        made, other = (example_recording(10 * key + number) for key in (seed, held_out or seed))
        apart = np.asarray(made.split) != SPLITS["train"]
        keys = ("stim", "robs", "valid", "behavior", "eyepos")
        arrays = {key: np.array(made.array(key)) for key in keys}
        for key, array in arrays.items():
            array[apart] = np.asarray(other.array(key))[apart]
        write_session(example_recording(name=name, subject=name[:2], **arrays), root / name)
    write_npz(root, example_recording(seed, **ARCHIVED))
    return root


@cache
def undivided() -> Path:
    """Folder of a session that does not say what is trained on."""
    root = fresh_folder()
    write_session(example_recording(split=None), root / "m1_a")
    return root


@cache
def examples(seed: int, *, held_out: int = 0) -> Path:
    """Folder of two files of labelled examples, some without a label."""
    root = fresh_folder()
    for number, name in enumerate(("a", "b")):
        made, other = (np.random.default_rng([key, number]) for key in (seed, held_out or seed))
        split = np.repeat([0, 1, 2], [40, 12, 12]).astype(np.int8)
        drawn = [(draws.normal(5, 2, (64, 4, 5)), draws.integers(-1, 3, 64)) for draws in (made, other)]
        inputs, labels = (np.where(_like(split == 0, one), one, two) for one, two in zip(*drawn, strict=True))
        inputs[labels < 0] = np.nan
        arrays = {"inputs": inputs, "labels": labels, "split": split}
        others = {"inputs2": inputs + 1, "labels2": np.where(labels < 0, -1, (labels + 1) % 3), "split2": -split % 3}
        np.savez(root / f"{name}.npz", **arrays, **others)
    return root


def _like(rows: np.ndarray, array: np.ndarray) -> np.ndarray:
    return rows.reshape(-1, *[1] * (array.ndim - 1))


def sessions_scene(case: Case) -> DatasetScene:
    return DatasetScene(
        splits=("train", "validation", "test", "repeats"),
        altered={"root": str(sessions(3))},
        held_out={"root": str(sessions(1, held_out=2))},
        distinct=True,
    )


def examples_scene(case: Case) -> DatasetScene:
    altered, held_out = ({"root": str(folder)} for folder in (examples(3), examples(1, held_out=2)))
    return DatasetScene(altered=altered, held_out=held_out)


SESSIONS = {"root": str(sessions(1)), "prepare": ["standardize"]}
SESSIONS_VARIANTS = {
    "root": str(sessions(3)),
    "sessions": "m1_*",
    "reader": "npz",
    "split": Given({"seed": 3}, root=str(undivided())),
    "units": "m*/u[01]",
}
ARRAYS = {"root": str(examples(1)), "files": "*.npz", "axes": "nhw"}
ARRAYS_VARIANTS = {
    "root": str(examples(3)),
    "files": "a.npz",
    "inputs": "inputs2",
    "labels": "labels2",
    "split": "split2",
    "axes": "nwh",
    "classes": ["x", "y", "z"],
}


CASES: tuple[Case, ...] = (
    Case("dataset", "synthetic_v1", options=SYNTHETIC),
    Case("dataset", "sessions", options=SESSIONS, variants=SESSIONS_VARIANTS, scene=sessions_scene),
    Case("dataset", "arrays", options=ARRAYS, variants=ARRAYS_VARIANTS, scene=examples_scene),
)
