"""What the built-in components of data, models and scores need to be tested: options without a default, and data."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
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
from visioncore_engine.testing.scenes.preparation import PreparationScene
from visioncore_neural.data.folder import write_session
from visioncore_neural.recording import SPLITS, Recording
from visioncore_neural.testing import example_recording, preparation_scene, reader_scene

__all__ = ["CASES"]

CONVOLUTION = {"channels": [4, 2], "kernel_size": [2, 3, 3]}
LAYERS = {
    "num_groups": Given(2, norm="frame_group", num_groups=1),
    "window_power": Given(2.0, window="space", window_power=1.0),
    "norm": "frame_rms",
    "order": ["norm", "convolution", "activation", "dropout", "pool"],
    "sharpness": Given(3.0, activation="bsoftplus", sharpness=1.0),
    "pool": "blur",
    "pool_to": Given([2, 3], pool="adaptive_max", pool_to=[2, 2]),
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
OLD_CORE = {
    "num_lags": 6,
    "stem": {"channels": 2, "kernel_size": [1, 3, 3], "norm": "pixel_rms", "activation": "elu"},
    "join": "residual",
    "layers": [
        {"channels": 2, "kernel_size": [2, 3, 3], "norm": "window_instance", "activation": "elu"},
        {"channels": 3, "kernel_size": [2, 1, 1], "norm": "window_group", "activation": "elu"},
    ],
}
OLD_CORES = {
    "num_lags": 5,
    "stem": None,
    "join": "plain",
    "layers": [],
    "sum_activation": "softplus",
    "steps": "all",
}
_OLD = "tests/visioncore_neural/test_import_checkpoint.py: the scene's channels are no steps of a window"
OLD_UNIT = {"compat": _OLD, "steps": _OLD}
OLD_STEPS = {"history_is_used": "of the oldest step of a window, the newest frames are no part: as in VisionCore"}
OLD_FRONTEND = "tests/visioncore_neural/test_import_checkpoint.py: it sees one channel, the scene has more"
KERNELS = {"bands": 1.0, "window_power": Given(2.0, window="time", window_power=1.0)}
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
    "expose": "core.0",
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


def write_dset(folder: Path, recording: Recording) -> Path:
    path = folder / "m1_a.dset"
    arrays = {name: torch.from_numpy(np.array(array)) for name, array in recording.arrays().items()}
    frame = arrays["repeat_frame"].double()
    arrays["repeat_frame"] = torch.where(frame < 0, torch.nan, frame)
    covariates = {**arrays, "t_bins": torch.arange(recording.num_frames, dtype=torch.float64) * recording.dt}
    said = {"sess": recording.name, "subject": recording.subject, "cids": list(range(recording.num_units))}
    torch.save({"covariates": covariates, "metadata": said}, path)
    return path


def write_sensorium(folder: Path, recording: Recording) -> Path:
    path = folder / recording.name
    trials = np.asarray(recording.trial)
    names = {number: "oracle" if name == "repeats" else name for name, number in SPLITS.items()}
    rows = {"responses": recording.robs, "behavior": recording.behavior, "pupil_center": recording.eyepos}
    for number in np.unique(trials):
        inside = trials == number
        arrays = {name: np.asarray(array)[inside].T for name, array in rows.items()}
        arrays["videos"] = np.asarray(recording.stim)[inside, 0].transpose(1, 2, 0)
        for name, array in arrays.items():
            (path / "data" / name).mkdir(parents=True, exist_ok=True)
            np.save(path / "data" / name / f"{number}.npy", array)
    for name in ("trials", "neurons"):
        (path / "meta" / name).mkdir(parents=True)
    first = np.unique(trials, return_index=True)[1]
    np.save(path / "meta" / "trials" / "tiers.npy", [names[split] for split in np.asarray(recording.split)[first]])
    np.save(path / "meta" / "neurons" / "unit_ids.npy", recording.units)
    return path


def write_nwb(folder: Path, recording: Recording) -> Path:
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries
    from pynwb.behavior import SpatialSeries
    from pynwb.file import Subject

    start = datetime(2020, 1, 1, tzinfo=UTC)
    file = NWBFile("a session", "an id", start, session_id=recording.name, subject=Subject(subject_id="m1"))
    times = np.arange(recording.num_frames) * recording.dt
    for name, unit in (("movie", "a.u."), ("other", "a.u.")):
        stim = np.asarray(recording.stim)[:, 0] + (name == "other")
        file.add_stimulus(TimeSeries(name=name, data=stim, unit=unit, timestamps=times))
    side = {"data": np.asarray(recording.behavior), "unit": "a.u.", "timestamps": times}
    file.add_acquisition(TimeSeries(name="behavior", **side))
    file.add_acquisition(TimeSeries(name="rates", **{**side, "data": np.abs(np.asarray(recording.behavior))}))
    gaze = np.asarray(recording.eyepos)
    file.add_acquisition(SpatialSeries(name="gaze", data=gaze, timestamps=times, reference_frame="screen"))
    names = {number: name for name, number in SPLITS.items()}
    file.add_trial_column("split", "split")
    file.add_trial_column("other", "another split")
    length = len(times) // 10
    for trial in range(10):
        word = names[int(recording.split[trial * length])]
        stop = times[(trial + 1) * length - 1] + recording.dt
        file.add_trial(start_time=times[trial * length], stop_time=stop, split=word, other="train")
    file.add_epoch(start_time=times[3], stop_time=times[90])
    file.add_unit_column("label", "label")
    for unit, name in enumerate(recording.units):
        spikes = np.repeat(times + 0.5 * recording.dt, np.asarray(recording.robs)[:, unit])
        file.add_unit(spike_times=spikes, label=name)
    path = folder / "m1_a.nwb"
    with NWBHDF5IO(str(path), "w") as out:
        out.write(file)
    return path


REPEATED = np.asarray(example_recording().split) == SPLITS["repeats"]
ARCHIVED = {
    "behavior": None,
    "behavior_names": (),
    "eyepos": None,
    "valid": np.asarray(example_recording().valid) | REPEATED,  # archives bring no mask of their repeats
}


def shared_stimulus(num_frames: int) -> Given:
    """One of two files beside the session, which then brings no stimulus itself."""
    paths = []
    for seed in (3, 4):
        paths.append(str(fresh_folder() / "stimulus.npy"))
        np.save(paths[-1], np.asarray(example_recording(seed).stim)[:num_frames])
    return Given(paths[0], stimulus=paths[1], keys={"stim": None})


ARCHIVE_VARIANTS = {
    "stimulus": shared_stimulus(160),
    "keys": {"valid": None},
    "axes": "TCWH",
    "session": "m9_z",
    "subject": "m9",
}


TREES = {"valid": np.ones(200, bool), "degrees_per_pixel": None, "kind": "rates", "dt": 0.05}
TREES |= {
    "robs": np.asarray(example_recording().robs, np.float32),
    "behavior_names": ("pupil_dilation", "running_speed"),
}
TREE = {"dt": 0.05, "subject": "m1"}
TREE_VARIANTS = {
    "tiers": {"test": "none"},
    "behavior_names": ["a", "b"],
    "session": "m9_z",
    "subject": "m9",
}
DSET = {"degrees_per_pixel": None, "units": ("0", "1", "2"), "behavior_names": ("channel_0", "channel_1")}
NWBS = {
    "valid": np.ones(200, bool),
    "degrees_per_pixel": None,
    "behavior_names": ("behavior_0", "behavior_1"),
    "repeat_frame": None,
    "repeat_trial": None,
}
NWB = {"stimulus": "movie", "unit_id": "label", "behavior": ["behavior"], "eyepos": "gaze", "split": "split"}
NWB_VARIANTS = {
    "stimulus": "other",
    "axes": "TWH",
    "responses": "rates",
    "unit_id": "id",
    "behavior": ["rates"],
    "eyepos": "rates",
    "intervals": Given("epochs", split=""),
    "split": "other",
    "session": "m9_z",
    "subject": "m9",
}


# -- preparations


def small_scene(case: Case) -> PreparationScene:
    """All values are so small that another one is the largest in every trial."""
    scene = preparation_scene(case)
    arrays = {key: np.clip(0.01 * scene.recording.array(key), -2, 2) for key in ("stim", "behavior", "eyepos")}
    return dataclasses.replace(scene, recording=dataclasses.replace(scene.recording, **arrays))


def every_array_scene(case: Case) -> PreparationScene:
    """Responses, and whether they count, are looked at too."""
    scene = preparation_scene(case)

    def view(recording: Recording) -> dict[str, np.ndarray]:
        everything = slice(None)
        shown = {"robs": recording.counts(everything), "valid": recording.validity(everything)}
        return {**shown, **scene.view(recording)}

    return dataclasses.replace(scene, view=view)


def downsample_scene(case: Case) -> PreparationScene:
    """A frame that was made of several stands in the place of each of them."""
    scene = every_array_scene(case)
    num = scene.recording.num_frames

    def view(recording: Recording) -> dict[str, np.ndarray]:
        return {key: rows.repeat(num // len(rows), axis=0) for key, rows in scene.view(recording).items()}

    return dataclasses.replace(scene, view=view)


@cache
def table(seed: int) -> str:
    """CSV file with a row for each unit and each half of the frames."""
    path = fresh_folder() / "units.csv"
    draws = np.random.default_rng(seed)
    rows = [
        f"m1_a,u{unit},{start},{start + 3000},{missing:.1f},{10 * unit + seed}"
        for unit in range(3)
        for start, missing in zip((0, 3000), draws.permutation([20, 60]), strict=True)
    ]
    path.write_text("\n".join(["session,unit,start,stop,missing_pct,quality", *rows, ""]), encoding="utf-8")
    return str(path)


CHOSEN = {"of": "eyepos", "channels": "p*"}
BASIS = {
    "kernel_size": 8,
    "num_cosines": 2,
    "peaks_ms": [10.0, 80.0],
}
BASIS_VARIANTS = {"of": "eyepos", "channels": "p*", "offset_ms": 50.0, "peaks_ms": [15.0, 70.0], "num_deltas": 1}
SELECTION = {"table": table(1), "at_least": {"quality": 11.0}}
SELECTION_VARIANTS = {
    "ids": {"m1_a": ["u2"]},
    "table": table(12),
    "at_least": {"quality": 15.0},
    "at_most": {"quality": 15.0},
}


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


def known_units() -> dict[str, str]:
    """A table of the units of the kit's sessions."""
    path = fresh_folder() / "units.csv"
    rows = [f"{session},u{unit},{unit}" for session, size in (("a_1", 3), ("b_1", 2)) for unit in range(size)]
    path.write_text("\n".join(["session,unit,contamination", *rows, ""]), encoding="utf-8")
    return {"table": str(path)}


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
    Case("stage", "conv_gru", inert=OLD_UNIT),
    Case(
        "stage",
        "visioncore",
        options=OLD_CORE,
        variants=OLD_CORES,
        inert={"frontend": OLD_FRONTEND},
        expected=OLD_STEPS,
    ),
    Case(
        "stage",
        "temporal_basis",
        options={"kernel_size": 8, "num_cosines": 2, "peaks_ms": [10.0, 50.0]},
        variants={"offset_ms": 50.0, "peaks_ms": [15.0, 40.0]},
    ),
    Case("stage", "dynamical_adaptation", options={"kernel_size": 4, "tau_y_ms": 10.0, "tau_z_ms": 40.0}),
    Case("model", "cnn", options={"channels": [4, 6]}),
    Case(
        "model",
        "encoder",
        options=ENCODER,
        variants=ENCODER_VARIANTS,
        inert={"expose": "it shows features beside the predictions, which stay"},
        scene=with_responses,
    ),
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
    Case(
        "modulator",
        "conv_gru",
        options={"hidden_channels": 3, "burn_in": 3},
        variants={"inputs": ["eyepos"]},
        inert=OLD_UNIT,
    ),
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
    Case(
        "reader",
        "dset",
        variants={**ARCHIVE_VARIANTS, "stimulus": shared_stimulus(200)},
        inert={"repeats": "such a file has the presentations of a clip in their place"},
        scene=reader_scene(write_dset, **DSET),
    ),
    Case("reader", "sensorium", options=TREE, variants=TREE_VARIANTS, scene=reader_scene(write_sensorium, **TREES)),
    *(
        [Case("reader", "nwb", options=NWB, variants=NWB_VARIANTS, scene=reader_scene(write_nwb, **NWBS))]
        if find_spec("pynwb")
        else []
    ),
    Case("preparation", "pixel_norm", scene=preparation_scene),
    Case("preparation", "standardize", options={"of": ["stim", "behavior"]}, scene=preparation_scene),
    Case("preparation", "velocity", scene=preparation_scene),
    Case("preparation", "max_norm", variants=CHOSEN, scene=small_scene),
    Case("preparation", "symlog", variants=CHOSEN, scene=preparation_scene),
    Case("preparation", "split_relu", variants={"channels": "p*"}, scene=preparation_scene),
    Case("preparation", "difference", variants=CHOSEN, scene=preparation_scene),
    Case(
        "preparation",
        "smooth",
        options={"sigma_ms": 30.0, "causal": True},
        variants={**CHOSEN, "reach": 2.0},
        scene=preparation_scene,
    ),
    Case("preparation", "temporal_basis", options=BASIS, variants=BASIS_VARIANTS, scene=preparation_scene),
    Case("preparation", "whitening", scene=preparation_scene),
    Case("preparation", "downsample", options={"factor": 2}, variants={"factor": 3}, scene=downsample_scene),
    Case("preparation", "select_units", options=SELECTION, variants=SELECTION_VARIANTS, scene=every_array_scene),
    Case(
        "preparation",
        "missing_pct",
        options={"table": table(1)},
        variants={"table": table(2), "threshold": 15.0},
        scene=every_array_scene,
    ),
    Case("dataset", "synthetic_v1", options=SYNTHETIC),
    Case("dataset", "sessions", options=SESSIONS, variants=SESSIONS_VARIANTS, scene=sessions_scene),
    Case("dataset", "arrays", options=ARRAYS, variants=ARRAYS_VARIANTS, scene=examples_scene),
    Case(
        "evaluator",
        "units",
        options={"rescale": True, "num_draws": 20, "block": 0.05},
        variants={"block": 0.2, "quality": known_units()},
    ),
    Case(
        "evaluator",
        "spike_triggered_average",
        options={"num_lags": 3},
        variants={"of": "energy", "whiten": 0.1},
        scene=simulated_scene,
    ),
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
