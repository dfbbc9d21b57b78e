"""What the built-in components of data, models and scores need to be tested: options without a default, and data."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from visioncore_engine.contracts import EvaluatorFacts, MetricFacts, ModelFacts
from visioncore_engine.testing import Case, Given
from visioncore_engine.testing.folder import fresh_folder
from visioncore_engine.testing.scenes.dataset import DatasetScene
from visioncore_engine.testing.scenes.evaluator import EvaluatorScene
from visioncore_engine.testing.scenes.flow import FAMILIES, TASK
from visioncore_engine.testing.scenes.metric import MetricScene
from visioncore_engine.testing.scenes.model import ModelScene
from visioncore_neural.data.folder import write_session
from visioncore_neural.recording import SPLITS, Recording
from visioncore_neural.testing import example_recording, preparation_scene, reader_scene

__all__ = ["CASES"]

CONVOLUTION = {"channels": [4, 2], "kernel_size": [2, 3, 3]}
LAYERS = {
    "num_groups": Given(2, norm="frame_group", num_groups=1),
    "window_power": Given(2.0, window="space", window_power=1.0),
    "norm": "frame_rms",
    "pool": "blur",
    "pool_size": Given(3, pool="max", pool_size=2),
    "squeeze": 2,
}
POOLS = {"pool_size": Given(3, pool="max", pool_size=2, channels=[4, 2])}  # of three blocks, the last sees one pixel
RESIDUAL = {
    **LAYERS,
    **POOLS,
    "zero_start": True,
    "activate_sum": False,
    "stride": [2, 1, 1],
}
KERNELS = {"window_power": Given(2.0, window="time", window_power=1.0)}
ENCODER = {
    "adapter": {"name": "affine", "grid_size": 5},
    "core": [
        {"name": "learnable_temporal", "kernel_size": 2, "num_channels": 3},
        {"name": "conv3d", "channels": [4], "kernel_size": [2, 3, 3]},
    ],
    "modulator": {"name": "concat", "num_channels": 2, "hidden": [3]},
    "recurrent": [{"name": "conv_gru", "hidden_channels": 3, "burn_in": 2}],
}
BLIND = {"adapter": None, "core": [], "recurrent": [], "readout": "pooled", "stimulus": False}
ENCODER_VARIANTS = {
    "adapter": {"name": "affine", "grid_size": 3},
    "history": {"num_lags": 3, "hidden": [3]},
    "stimulus": Given(False, **{**BLIND, "stimulus": True}),
    "baseline": 0.1,
}
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


def with_responses(case: Case) -> ModelScene:
    """Groups whose earlier responses are served."""
    del case  # all of them meet the same
    groups = FAMILIES["counts"]()
    specs = (
        dataclasses.replace(spec, side={**spec.side, "previous_responses": spec.targets[TASK].size}) for spec in groups
    )
    return ModelScene(ModelFacts(tuple(specs), 0))


def two_tasks(case: Case) -> MetricScene:
    """Groups with two tasks of classes, so that one has to be chosen."""
    groups = FAMILIES["classes"]()
    both = [{TASK: spec.targets[TASK], "other": spec.targets[TASK]} for spec in groups]
    specs = (dataclasses.replace(spec, targets=targets) for spec, targets in zip(groups, both, strict=True))
    return MetricScene(MetricFacts(tuple(specs)))


# -- readers


def write_folder(folder: Path, recording: Recording) -> Path:
    path = folder / recording.name
    write_session(recording, path)
    return path


def content(recording: Recording) -> dict[str, Any]:
    """Arrays of a file: the repeated clip stands apart, as some labs store it."""
    arrays = {name: np.asarray(array) for name, array in recording.arrays().items()}
    repeats = arrays["split"] == SPLITS["repeats"]
    num = len(np.unique(arrays["trial"][repeats]))
    clip = {
        "stim_rep": arrays["stim"][repeats][: repeats.sum() // num],
        "robs_rep": arrays["robs"][repeats].reshape(num, -1, recording.num_units),
    }
    kept = {name: array[~repeats] for name, array in arrays.items() if not name.startswith("repeat_")}
    said = {"dt": recording.dt, "name": recording.name, "subject": recording.subject}
    return {
        **kept,
        **clip,
        **said,
        "degrees_per_pixel": recording.degrees_per_pixel,
        "units": np.array(recording.units),
    }


def write_npz(folder: Path, recording: Recording) -> Path:
    path = folder / "m1_a.npz"
    np.savez(path, **content(recording))
    return path


def write_hdf5(folder: Path, recording: Recording) -> Path:
    path = folder / "m1_a.h5"
    with h5py.File(path, "w") as file:
        for key, value in content(recording).items():
            array = np.asarray(value)
            file[key] = array.astype("S") if array.dtype.kind == "U" else array
    return path


REPEATED = np.asarray(example_recording().split) == SPLITS["repeats"]
ARCHIVED = {
    "behavior": None,
    "behavior_names": (),
    "eyepos": None,
    "valid": np.asarray(example_recording().valid) | REPEATED,  # archives bring no mask of their repeats
}
ARCHIVE_VARIANTS = {"keys": {"valid": None}, "axes": "TCWH", "session": "m9_z", "subject": "m9"}


# -- data sets on disk


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


# -- evaluators


@cache
def simulation() -> Any:
    """A simulation that is opened once: nothing of it changes."""
    return Case("dataset", "synthetic_v1", options={**SYNTHETIC, "num_units": 2}).build(DatasetScene())


def simulated_scene(case: Case) -> EvaluatorScene:
    """A simulation, and a small encoder of it, in which one unit sees nothing: its centre cannot be found."""
    dataset = simulation()
    core = {"name": "learnable_temporal", "kernel_size": 3, "num_channels": 2}
    encoder = Case("model", "encoder", options={"core": [core]}).build(ModelScene(ModelFacts(dataset.groups, 0)))
    with torch.no_grad():
        encoder.readout("m1_a").features[0] = 0.0
    return EvaluatorScene(EvaluatorFacts(dataset.groups), encoder.eval(), lambda hidden: dataset, maskable=False)


CASES: tuple[Case, ...] = (
    Case("adapter", "affine", options={"grid_size": 4}),
    Case("stage", "conv3d", options=CONVOLUTION, variants=LAYERS),
    Case("stage", "resnet3d", options={**CONVOLUTION, "channels": [4, 2, 2]}, variants=RESIDUAL),
    Case("stage", "densenet3d", options={**CONVOLUTION, "channels": [4, 2, 2]}, variants={**LAYERS, **POOLS}),
    Case("stage", "learnable_temporal", variants=KERNELS),
    Case(
        "stage",
        "temporal_basis",
        options={"kernel_size": 8, "num_cosines": 2, "peaks_ms": [10.0, 50.0]},
        variants={"offset_ms": 50.0, "peaks_ms": [15.0, 40.0]},
    ),
    Case("stage", "dynamical_adaptation", options={"kernel_size": 4, "tau_y_ms": 10.0, "tau_z_ms": 40.0}),
    Case("model", "cnn", options={"channels": [4, 6]}),
    Case("model", "encoder", options=ENCODER, variants=ENCODER_VARIANTS, scene=with_responses),
    Case("model", "ln", options={"num_frames": 3}),
    Case(
        "model",
        "glm",
        options={"num_frames": 3, "num_lags": 2},
        variants={"inputs": ["eyepos"]},
        scene=with_responses,
    ),
    Case(
        "metric",
        "bits_per_spike",
        expected={
            "rounding_is_that_of_float64": "terms have the precision of the rates and only their sums are float64: a "
            "score is wrong by less than 1e-7 bits, and a validation takes a third of the time"
        },
    ),
    Case("modulator", "concat", variants={"inputs": ["eyepos"]}),
    Case("modulator", "scalar_gain", variants={"side": "eyepos"}),
    Case("modulator", "film", variants={"inputs": ["eyepos"]}),
    Case(
        "modulator",
        "chain",
        options={"parts": ["film", {"name": "predictive_coding", "hidden_channels": 2, "burn_in": 2}]},
        variants={"parts": ["film", "shifter"]},  # the first is the same: the second acts
    ),
    Case("modulator", "gain", variants={"inputs": ["eyepos"]}),
    Case("modulator", "shifter", variants={"inputs": ["behavior"]}),
    Case("modulator", "conv_gru", options={"hidden_channels": 3, "burn_in": 3}, variants={"inputs": ["eyepos"]}),
    Case(
        "modulator",
        "predictive_coding",
        options={"hidden_channels": 3, "burn_in": 3},
        variants={"inputs": ["eyepos"]},
        inert={"weight": "is how much of its own loss the objective takes, outside the modulator"},
    ),
    Case("loss", "cross_entropy", variants={"label_smoothing": 0.1}),
    Case("metric", "cc_norm", variants={"min_cc_max": 0.99}),
    Case("metric", "feve", variants={"min_fev": 0.95}),
    Case("metric", "accuracy", options={"task": TASK}, variants={"task": "other"}, scene=two_tasks),
    Case("reader", "folder", scene=reader_scene(write_folder)),
    Case("reader", "npz", variants=ARCHIVE_VARIANTS, scene=reader_scene(write_npz, **ARCHIVED)),
    Case("reader", "hdf5", variants=ARCHIVE_VARIANTS, scene=reader_scene(write_hdf5, **ARCHIVED)),
    Case("preparation", "pixel_norm", scene=preparation_scene),
    Case("preparation", "standardize", options={"of": ["stim", "behavior"]}, scene=preparation_scene),
    Case("preparation", "velocity", scene=preparation_scene),
    Case("dataset", "synthetic_v1", options=SYNTHETIC),
    Case("dataset", "sessions", options=SESSIONS, variants=SESSIONS_VARIANTS, scene=sessions_scene),
    Case("dataset", "arrays", options=ARRAYS, variants=ARRAYS_VARIANTS, scene=examples_scene),
    Case("evaluator", "units", options={"rescale": True, "num_draws": 20, "block": 0.05}, variants={"block": 0.2}),
    Case("evaluator", "spike_triggered_average", options={"num_lags": 3}, scene=simulated_scene),
    Case(
        "evaluator",
        "saccade_triggered",
        options={"speed": 5.0, "shortest_ms": 0.0, "longest_ms": 5000.0},
        variants={"channel": "channel_0", "speed": 300.0, "shortest_ms": 3000.0},
        scene=simulated_scene,
    ),
    Case(
        "evaluator",
        "grating_tuning",
        options={"num_orientations": 4, "periods": [4.0]},
        variants={"cycles": 3},
        scene=simulated_scene,
    ),
    Case("evaluator", "ground_truth", options={"num_predictions": 20}, scene=simulated_scene),
)
