"""Readers of whole formats: NWB, the trees of the Sensorium competitions, VisionCore's .dset, shared stimuli."""

from __future__ import annotations

import importlib.util
import json
import os
from datetime import UTC, datetime

import h5py
import numpy as np
import pytest
import torch
from neural_recordings import choice, dataset, make

from visioncore_engine.contracts import ReaderFacts
from visioncore_engine.errors import ConfigError, DataError
from visioncore_neural.data.audit import audit
from visioncore_neural.data.convert import convert
from visioncore_neural.data.fingerprint import array_hash, recording_fingerprint
from visioncore_neural.data.folder import read_session, write_session

needs_pynwb = pytest.mark.skipif(importlib.util.find_spec("pynwb") is None, reason="the extra `nwb` is not installed")


def read(name, path, **options):
    return choice("reader", name, **options).build(ReaderFacts(path)).read()


# -- the trees of the Sensorium competitions


def tree(root, tiers, *, kind="videos", lengths=None, clips=None, num_units=3):
    """Write a tree and return its arrays, by name and trial."""
    rng = np.random.default_rng(0)
    arrays = {name: [] for name in (kind, "responses", "behavior", "pupil_center")}
    for trial in range(len(tiers)):
        length = 1 if lengths is None else lengths[trial]
        shown = np.random.default_rng([9, clips[trial] if clips else trial])
        shape = (1, 4, 5) if kind == "images" else (4, 5, length)
        tail = () if kind == "images" else (length,)
        arrays[kind].append(shown.integers(0, 256, shape).astype(np.float32))
        arrays["responses"].append(rng.gamma(1.0, 2.0, (num_units, *tail)))
        arrays["behavior"].append(rng.normal(size=(2, *tail)))
        arrays["pupil_center"].append(rng.normal(size=(2, *tail)))
    for name, trials in arrays.items():
        (root / "data" / name).mkdir(parents=True)
        for number, array in enumerate(trials):
            np.save(root / "data" / name / f"{number}.npy", array)
    for name, array in (("trials/tiers", np.array(tiers)), ("neurons/unit_ids", np.arange(7, 7 + num_units))):
        (root / "meta" / name).parent.mkdir(parents=True)
        np.save(root / "meta" / f"{name}.npy", array)
    return arrays


def test_a_sensorium_tree_of_videos_keeps_units_tiers_and_trials(tmp_path):
    root = tmp_path / "dynamic29156-11-10-Video-8744edea"
    tiers = ["train", "oracle", "none", "validation", "oracle", "train", "live_test_main", "oracle", "oracle"]
    arrays = tree(root, tiers, lengths=[30, 20, 30, 25, 20, 30, 30, 9, 9], clips=[0, 1, 2, 3, 1, 5, 6, 7, 7])
    recording = read("sensorium", root)
    assert (recording.name, recording.subject) == (root.name, "29156")
    assert recording.units == ("7", "8", "9")
    assert recording.dt == pytest.approx(1 / 30)
    assert recording.stim.dtype == np.uint8  # which loses nothing
    expected = {0: 0, 1: 3, 3: 1, 4: 3, 5: 0, 7: 3, 8: 3}  # trials that are used, and their splits
    assert list(dict.fromkeys(recording.trial.tolist())) == list(expected)
    for trial, split in expected.items():
        inside = recording.trial == trial
        assert set(recording.split[inside].tolist()) == {split}
        np.testing.assert_array_equal(recording.stim[inside, 0], arrays["videos"][trial].transpose(2, 0, 1))
        np.testing.assert_allclose(recording.robs[inside], arrays["responses"][trial].T, rtol=1e-6)
        np.testing.assert_allclose(recording.behavior[inside], arrays["behavior"][trial].T, rtol=1e-6)
        np.testing.assert_allclose(recording.eyepos[inside], arrays["pupil_center"][trial].T, rtol=1e-6)
        repeated = recording.repeat_frame[inside].tolist()
        clip = range(20) if trial in (1, 4) else range(20, 29)  # frames of clips are numbered on
        assert repeated == (list(clip) if split == 3 else [-1] * inside.sum())
    assert set(recording.repeat_trial[recording.trial == 4].tolist()) == {1}
    assert not [problem for problem in audit(recording).errors if "split" in str(problem)]
    assert dataset(recording).groups[0].targets["robs"].ids == ("7", "8", "9")


def test_a_sensorium_tree_of_images_is_one_frame_a_trial(tmp_path):
    tiers = ["train"] * 6 + ["validation", "test", "test"]
    arrays = tree(tmp_path / "static1-2", tiers, kind="images", clips=[0, 1, 2, 3, 4, 5, 6, 7, 7])
    recording = read("sensorium", tmp_path / "static1-2")
    assert recording.num_frames == 9
    assert recording.dt == 0.5
    np.testing.assert_array_equal(recording.stim, np.stack(arrays["images"]))
    assert recording.repeat_frame.tolist() == [-1] * 7 + [0, 0]
    assert recording.repeat_trial.tolist() == [-1] * 7 + [0, 1]


def test_what_a_video_lacks_does_not_exist_and_what_a_response_lacks_does_not_count(tmp_path):
    arrays = tree(tmp_path / "a", ["train", "train"], lengths=[30, 30])
    arrays["videos"][0][..., 27:] = np.nan
    arrays["responses"][1][1, 5] = np.nan
    for name, trial in (("videos", 0), ("responses", 1)):
        np.save(tmp_path / "a" / "data" / name / f"{trial}.npy", arrays[name][trial])
    recording = read("sensorium", tmp_path / "a")
    assert recording.num_frames == 57
    assert np.argwhere(~recording.valid).tolist() == [[27 + 5, 1]]
    dataset(recording)


def test_mistakes_in_a_sensorium_tree_are_told_with_the_file(tmp_path):
    tree(tmp_path / "a", ["train", "trainn"], lengths=[9, 9])
    with pytest.raises(DataError, match=r"tiers.npy: tiers: no split is known.*got trainn.*tiers: \{trainn"):
        read("sensorium", tmp_path / "a")
    options = {"tiers": {"trainn": "validation"}}
    assert set(read("sensorium", tmp_path / "a", **options).split.tolist()) == {0, 1}
    np.save(tmp_path / "a" / "data" / "behavior" / "1.npy", np.zeros((2, 8)))
    with pytest.raises(DataError, match=r"behavior/1.npy: must have 2 rows and 9 frames, as the stimulus .got .2, 8."):
        read("sensorium", tmp_path / "a", **options)
    np.save(tmp_path / "a" / "meta" / "neurons" / "unit_ids.npy", np.arange(2))
    (tmp_path / "a" / "data" / "behavior" / "1.npy").unlink()
    with pytest.raises(DataError, match=r"behavior/1.npy: no such file"):
        read("sensorium", tmp_path / "a", **options)
    with pytest.raises(DataError, match="no trial has a tier that is used"):
        read("sensorium", tmp_path / "a", tiers={"train": "none", "trainn": "none"})


# -- VisionCore's files


def dset(path, *, metadata=None, **changes):
    rng = np.random.default_rng(0)
    covariates = {
        "stim": torch.from_numpy(rng.integers(0, 256, (240, 4, 5), dtype=np.uint8)),
        "robs": torch.from_numpy(rng.poisson(1.0, (240, 5)).astype(np.float32)),
        "dpi_valid": torch.ones(240),
        "trial_inds": torch.arange(240.0) // 40,
        "t_bins": torch.arange(240.0, dtype=torch.float64) / 240,
        "eyepos": torch.zeros(240, 2),
        **changes,
    }
    said = {"sess": "m1_2020-01-01", "name": "fixrsvp", "cids": np.array([3, 0]).tolist()}
    covariates = {key: value for key, value in covariates.items() if value is not None}
    torch.save({"covariates": covariates, "metadata": {**said, **(metadata or {})}}, path)
    return covariates


def test_a_dset_is_read_with_its_units_by_id(tmp_path):
    clip = torch.where(torch.arange(240) // 40 % 2 == 1, torch.arange(240) % 40, torch.tensor(torch.nan))
    covariates = dset(tmp_path / "a.dset", psth_inds=clip)
    recording = read("dset", tmp_path / "a.dset")
    assert recording.name == "m1_2020-01-01"
    assert recording.units == ("3", "0")
    assert recording.dt == pytest.approx(1 / 240)
    np.testing.assert_array_equal(recording.robs, covariates["robs"][:, [3, 0]])
    np.testing.assert_array_equal(recording.stim[:, 0], covariates["stim"])
    assert recording.trial.tolist() == (np.arange(240) // 40).tolist()
    assert recording.repeat_trial.tolist() == np.repeat([-1, 0, -1, 1, -1, 2], 40).tolist()
    assert recording.repeat_frame[40:80].tolist() == list(range(40))


def test_a30_masks_of_a_dset_follow_the_units_and_not_their_place(tmp_path):
    dfs = torch.zeros(240, 5)
    dfs[:, 3] = 1.0
    dset(tmp_path / "a.dset", dpi_valid=None, dfs=dfs)
    assert read("dset", tmp_path / "a.dset").valid[0].tolist() == [True, False]


class Foreign:
    pass


def test_a_dset_with_objects_is_refused_and_runs_nothing(tmp_path):
    dset(tmp_path / "a.dset", metadata={"owner": Foreign()})
    with pytest.raises(DataError, match=r"a.dset: cannot be read as tensors and plain values.*save `\{'covariates'"):
        read("dset", tmp_path / "a.dset")
    torch.save({"stim": torch.zeros(3)}, tmp_path / "b.dset")
    with pytest.raises(DataError, match=r"must hold a dictionary `covariates`.*got stim"):
        read("dset", tmp_path / "b.dset")
    dset(tmp_path / "c.dset", metadata={"cids": [9]})
    with pytest.raises(DataError, match=r"cids: `cids` must be columns of the 5"):
        read("dset", tmp_path / "c.dset")


# -- stimuli that sessions share


def test_sessions_of_hdf5_share_one_stimulus_that_is_stored_once(tmp_path):
    recording = make(behavior=None, behavior_names=(), eyepos=None)
    with h5py.File(tmp_path / "movie.h5", "w") as file:
        file["clips/a"] = recording.stim
    for number in range(3):
        with h5py.File(tmp_path / f"m{number}_a.h5", "w") as file:
            file["robs"] = make(seed=number).robs
            file.attrs["dt"] = 0.01
            file.attrs["stim_sha256"] = array_hash(recording.stim)
    reader = choice("reader", "hdf5", stimulus="movie.h5:clips/a")
    readers = [reader.build(ReaderFacts(tmp_path / f"m{number}_a.h5")) for number in range(3)]
    assert readers[0].headers().stim.shape == recording.stim.shape
    found = list(convert(readers, tmp_path / "out", share_stimuli=True))
    (shared,) = (tmp_path / "out" / "stimuli").iterdir()
    for session, folder in found:
        assert not (folder / "stim.npy").exists()
        assert os.path.realpath(session.stim.path) == str(shared)
        np.testing.assert_array_equal(np.asarray(session.stim), recording.stim)
        assert session.fingerprint == recording_fingerprint(readers[found.index((session, folder))].read())
    apart = list(convert(readers[:1], tmp_path / "apart"))
    assert apart[0][0].fingerprint == found[0][0].fingerprint  # how it is stored is no content


def test_another_stimulus_than_that_of_the_recording_is_refused(tmp_path):
    np.save(tmp_path / "movie.npy", make(seed=1).stim)
    arrays = {"robs": make().robs, "dt": 0.01, "stim_sha256": array_hash(make().stim)}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=r"movie.npy: stim_sha256: is not the stimulus.*recorded with"):
        read("npz", tmp_path / "a.npz", stimulus="movie.npy")
    np.save(tmp_path / "movie.npy", make().stim)
    np.testing.assert_array_equal(read("npz", tmp_path / "a.npz", stimulus="movie.npy").stim, make().stim)
    with pytest.raises(DataError, match=r"none.npy: no such file"):
        read("npz", tmp_path / "a.npz", stimulus="none.npy")
    np.savez(tmp_path / "b.npz", **arrays, stim=make().stim)
    with pytest.raises(DataError, match="stimulus: the file holds a stimulus of its own"):
        read("npz", tmp_path / "b.npz", stimulus="movie.npy")


def test_a_shared_stimulus_that_was_changed_is_found(tmp_path):
    write_session(make(), tmp_path / "m1_a", share_stimulus=True)
    write_session(make("m2_a", stim=make().stim), tmp_path / "m2_a", share_stimulus=True)
    (shared,) = (tmp_path / "stimuli").iterdir()
    assert json.loads((tmp_path / "m2_a" / "session.json").read_text())["arrays"]["stim"]["file"].endswith(shared.name)
    changed = np.load(shared)
    changed[0] += 1
    np.save(shared, changed)
    errors = audit(read_session(tmp_path / "m1_a")).errors
    assert any("SHA-256 differs" in str(error) and shared.name in str(error) for error in errors)
    with pytest.raises(DataError, match="is not the stimulus that its name stands for"):
        write_session(make("m3_a", stim=make().stim), tmp_path / "m3_a", share_stimulus=True)
    assert not (tmp_path / "m3_a").exists()


# -- NWB


@needs_pynwb
def test_nwb_spikes_are_counted_in_frames_and_intervals_are_trials(tmp_path):
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries

    rng = np.random.default_rng(0)
    times = np.concatenate([np.arange(100), 130 + np.arange(100)]) * 0.02  # a gap inside the second trial
    movie = rng.integers(0, 256, (200, 4, 5), dtype=np.uint8)
    file = NWBFile("s", "i", datetime(2020, 1, 1, tzinfo=UTC), session_id="m1_a")
    file.add_stimulus(TimeSeries(name="movie", data=movie, unit="a.u.", timestamps=times))
    running = rng.normal(size=400)
    file.add_acquisition(TimeSeries(name="running", data=running, unit="m/s", rate=100.0, starting_time=0.015))
    for start, stop in ((0.0, 1.0), (1.2, 3.2), (3.2, 4.0)):
        file.add_trial(start_time=start, stop_time=stop)
    spikes = [np.sort(rng.uniform(0, 5, 300)) for _ in range(2)]
    for unit in range(2):
        file.add_unit(spike_times=spikes[unit], obs_intervals=[[0.0, 5.0 - 3 * unit]], id=40 + unit)
    with NWBHDF5IO(str(tmp_path / "a.nwb"), "w") as out:
        out.write(file)
    recording = read("nwb", tmp_path / "a.nwb", behavior=["running"])
    assert (recording.name, recording.units, recording.dt) == ("m1_a", ("40", "41"), 0.02)
    np.testing.assert_array_equal(recording.stim[:, 0], movie)
    trials = np.full(200, -1)
    trials[:50], trials[60:100], trials[100:130], trials[130:170] = 0, 1, 2, 3
    assert recording.trial.tolist() == trials.tolist()
    for frame, start in enumerate(times):
        for unit in range(2):
            assert recording.robs[frame, unit] == ((spikes[unit] >= start) & (spikes[unit] < start + 0.02)).sum()
            observed = start + 0.02 <= 5.0 - 3 * unit + 1e-9
            assert recording.valid[frame, unit] == (observed and np.isfinite(recording.behavior[frame, 0]))
        latest = np.floor((start - 0.015) / 0.01 + 1e-9)
        if latest >= 400:  # the series has ended, and its last value is soon too old
            expected = running[-1] if start - 4.005 <= 0.03 else np.nan
        else:
            expected = running[int(latest)] if latest >= 0 else np.nan
        np.testing.assert_allclose(recording.behavior[frame, 0], expected, rtol=1e-6)
    with pytest.raises(DataError, match=r"series: no such series; there are .*'runing'.*did you mean 'running'"):
        read("nwb", tmp_path / "a.nwb", behavior=["runing"])
    rates = read("nwb", tmp_path / "a.nwb", responses="running")
    assert (rates.kind, recording.kind, rates.units) == ("rates", "counts", ("0",))
    np.testing.assert_array_equal(rates.robs, recording.behavior)
    assert rates.valid.ravel().tolist() == np.isfinite(recording.behavior).ravel().tolist()
    with pytest.raises(DataError, match=r"intervals: the file has no intervals 'blocks'"):
        read("nwb", tmp_path / "a.nwb", intervals="blocks")
    with pytest.raises(DataError, match=r"unit_id: no such column; there are id, spike_times, obs_intervals"):
        read("nwb", tmp_path / "a.nwb", unit_id="label")


@needs_pynwb
def test_pictures_that_an_index_series_shows_are_repeated(tmp_path):
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.base import Images
    from pynwb.image import GrayscaleImage, IndexSeries

    pictures = [np.random.default_rng(i).integers(0, 256, (4, 5)).astype(np.uint8) for i in range(3)]
    file = NWBFile("s", "i", datetime(2020, 1, 1, tzinfo=UTC), session_id="m1_a")
    library = Images(
        name="pictures", description="p", images=[GrayscaleImage(name=f"p{i}", data=p) for i, p in enumerate(pictures)]
    )
    file.add_stimulus_template(library)
    order = np.array([2, 0, 0, 1, 2], dtype=np.uint32)
    file.add_stimulus(IndexSeries(name="shown", data=order, indexed_images=library, unit="N/A", rate=10.0))
    file.add_unit(spike_times=[0.05, 0.31])
    with NWBHDF5IO(str(tmp_path / "a.nwb"), "w") as out:
        out.write(file)
    recording = read("nwb", tmp_path / "a.nwb")
    np.testing.assert_array_equal(recording.stim[:, 0], np.stack([pictures[i] for i in order]))
    assert recording.robs[:, 0].tolist() == [1, 0, 0, 1, 0]


def test_b14_without_pynwb_the_reader_says_what_to_install_and_all_else_works(tmp_path, monkeypatch):
    monkeypatch.setattr("visioncore_neural.data.nwb.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pynwb.*pip install 'visioncore-engine\[nwb\]'"):
        read("nwb", tmp_path / "a.nwb")
