"""Cases of built-in readers: each is written a file that holds one and the same recording."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from visioncore_engine.testing import Case, Given
from visioncore_engine.testing.folder import fresh_folder
from visioncore_neural.data.folder import write_session
from visioncore_neural.recording import SPLITS, Recording
from visioncore_neural.testing import example_recording, reader_scene

__all__ = ["ARCHIVED", "CASES", "write_npz"]


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
    """Copy the file that was written first: all scenes hold one recording, and writing it takes long."""
    if not _NWB:
        _NWB.append(_written_nwb(fresh_folder(), recording))
    return Path(shutil.copy(_NWB[0], folder))


_NWB: list[Path] = []


def _written_nwb(folder: Path, recording: Recording) -> Path:
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


CASES: tuple[Case, ...] = (
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
)
