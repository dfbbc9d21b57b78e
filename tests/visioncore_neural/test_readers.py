"""Readers: other labs' files become the same recording, or an error that names file and array."""

from __future__ import annotations

import re

import h5py
import numpy as np
import pytest
from neural_recordings import choice, dataset, make, real_data, sessions

from visioncore_engine.contracts import ReaderFacts
from visioncore_engine.errors import DataError
from visioncore_neural.data.aliases import ALIASES
from visioncore_neural.data.assemble import to_tchw
from visioncore_neural.data.fingerprint import recording_fingerprint
from visioncore_neural.data.folder import write_session
from visioncore_neural.data.paths import resolve_root


def content(**changes):
    recording = make()
    arrays = {key: np.asarray(array) for key, array in recording.arrays().items()}
    plain = {"dt": recording.dt, "subject": "m1", "units": np.array(recording.units)}
    names = {"behavior_names": np.array(recording.behavior_names)}
    return {**arrays, **plain, **names, **changes}


def without(arrays, *names):
    return {key: value for key, value in arrays.items() if key not in names}


def npz(tmp_path, arrays, **options):
    path = tmp_path / "m1_a.npz"
    np.savez(path, **arrays)
    return choice("reader", "npz", **options).build(ReaderFacts(path)).read()


def hdf5(tmp_path, arrays, **options):
    path = tmp_path / "m1_a.h5"
    with h5py.File(path, "w") as file:
        for key, value in arrays.items():
            array = np.asarray(value)
            file[f"session/{key}"] = array.astype("S") if array.dtype.kind == "U" else array
    keys = {name: f"session/{name}" for name in arrays}
    return choice("reader", "hdf5", keys=keys, **options).build(ReaderFacts(path)).read()


@pytest.mark.parametrize("read", [npz, hdf5])
def test_every_format_gives_the_same_recording(tmp_path, read):
    write_session(make(), tmp_path / "m1_a")
    folder = choice("reader", "folder").build(ReaderFacts(tmp_path / "m1_a")).read()
    recording = read(tmp_path, content())
    assert recording_fingerprint(recording) == folder.fingerprint == recording_fingerprint(make())
    one, other = (dataset(found).sources("train", 4)[0].gather(np.arange(30)) for found in (folder, recording))
    assert one.inputs.equal(other.inputs)
    assert one.mask.equal(other.mask)


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((9, 1, 31), "TCW", (9, 1, 1, 31)),
        ((9, 1, 2), "THC", (9, 2, 1, 1)),
        ((9, 4, 5), "", (9, 1, 4, 5)),
        ((9, 3), "", (9, 3, 1, 1)),
        ((9,), "", (9, 1, 1, 1)),
        ((4, 5, 9, 2), "HWTC", (9, 2, 4, 5)),
    ],
)
def test_axes_bring_a_stimulus_to_time_channel_height_width(shape, axes, expected):
    stim = np.arange(np.prod(shape)).reshape(shape)
    found = to_tchw(stim, axes, "f")
    assert found.shape == expected
    named = axes or {3: "THW", 2: "TC", 1: "T"}[len(shape)]
    for place in np.ndindex(shape):
        where = dict(zip(named, place, strict=True))
        assert found[tuple(where.get(axis, 0) for axis in "TCHW")] == stim[place]


@pytest.mark.parametrize("axes", ["TC", "TCWW", "CHW", "TTC"])
def test_axes_that_do_not_fit_are_refused(axes):
    with pytest.raises(DataError, match="name each of its axes once"):
        to_tchw(np.zeros((9, 1, 31)), axes, "f")


def test_other_labs_names_are_understood(tmp_path):
    names = {"stim": "stimulus", "robs": "responses", "valid": "dfs", "trial": "trial_inds", "eyepos": "pupil_center"}
    recording = npz(tmp_path, {names.get(key, key): value for key, value in content().items()})
    assert recording_fingerprint(recording) == recording_fingerprint(make())


def test_no_name_stands_for_two_arrays():
    names = [name for mine, others in ALIASES.items() for name in (mine, *others)]
    assert len(names) == len(set(names))


def test_two_candidates_for_one_array_are_not_decided_silently(tmp_path):
    arrays = {**content(), "spikes": content()["robs"]}
    with pytest.raises(DataError, match="robs: could be any of robs, spikes; say which"):
        npz(tmp_path, arrays)
    assert npz(tmp_path, arrays, keys={"robs": "spikes"}).num_units == 3


def test_keys_name_arrays_and_null_leaves_one_unread(tmp_path):
    arrays = {**without(content(), "trial"), "segment": content()["trial"], "index": content()["trial"] * 0}
    assert np.asarray(npz(tmp_path, arrays, keys={"trial": "index"}).trial).max() == 0
    assert np.asarray(npz(tmp_path, arrays, keys={"trial": None}).trial).max() == 0
    assert npz(tmp_path, arrays, keys={"behavior": None}).behavior is None


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda a: without(a, "robs"), {}, "robs: the file has no such array"),
        (lambda a: without(a, "dt"), {}, "dt: the file has no such array"),
        (lambda a: a, {"keys": {"trial": "segments"}}, "keys.trial: the file holds"),
        (lambda a: a, {"keys": {"trails": "trial"}}, "recordings have stim"),
        (lambda a: {**a, "valid": np.full(240, 0.5)}, {}, "240 values are neither 0 nor 1; first at frame 0"),
        (lambda a: {**a, "trial": a["trial"] + 0.5 * (np.arange(240) == 7)}, {}, "no whole numbers; first at frame 7"),
        (lambda a: {**a, "robs": a["robs"][:-2]}, {}, "240 frames but this has 238"),
        (lambda a: {**a, "split": np.array(["train", "tset"] * 120)}, {}, "120 are other, first at frame 1"),
    ],
)
def test_what_a_file_lacks_is_said_with_its_name(tmp_path, change, options, message):
    with pytest.raises(DataError) as caught:
        npz(tmp_path, change(content()), **options)
    assert message in str(caught.value)
    assert "m1_a.npz" in str(caught.value)


def test_splits_may_be_stored_by_name(tmp_path):
    words = np.array(["train", "validation", "test"])[content()["split"]]
    np.testing.assert_array_equal(npz(tmp_path, content(split=words)).split, make().split)


def test_options_say_what_a_file_does_not(tmp_path):
    arrays = without(content(), "dt", "subject", "units")
    recording = npz(tmp_path, arrays, dt=0.05, scale=0.5, offset=-1.0, session="m9_z", subject="m9", kind="rates")
    assert (recording.name, recording.subject, recording.dt, recording.kind) == ("m9_z", "m9", 0.05, "rates")
    assert recording.units == ("0", "1", "2")
    np.testing.assert_allclose(recording.values("stim", slice(2)), arrays["stim"][:2] * 0.5 - 1)
    assert npz(tmp_path, arrays, dt=0.05).subject == "m1_a"


def test_repeats_become_trials_of_their_own_split(tmp_path):
    rng = np.random.default_rng(0)
    stim, robs = rng.integers(0, 256, (50, 1, 4, 5), dtype=np.uint8), rng.poisson(2.0, (6, 50, 3)).astype(np.uint8)
    arrays = without(content(stim_rep=stim, robs_rep=robs), "behavior", "behavior_names", "eyepos")
    opened = dataset(npz(tmp_path, arrays))
    source = opened.sources("repeats", 9)[0]
    group = source.gather(np.arange(source.num_items))
    assert source.num_items == 6 * 41
    repeat = group.tags["repeat_frame"][:, 0].reshape(6, 41)
    assert (repeat == np.arange(9, 50)).all()
    shown = group.inputs[:, 0].reshape(6, 41, 10, 4, 5)
    for trial in range(6):
        np.testing.assert_array_equal(shown[trial, :, -1], stim[9:, 0])
        np.testing.assert_array_equal(group.targets["robs"].reshape(6, 41, 3)[trial], robs[trial, 9:])
    assert (
        opened.groups[0].targets["robs"].mean
        == dataset(npz(tmp_path, arrays, repeats=False)).groups[0].targets["robs"].mean
    )
    with pytest.raises(DataError, match="repeats bring no behavior, eyepos; leave them out"):
        npz(tmp_path, content(stim_rep=stim, robs_rep=robs))


def test_d12_objects_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"robs: cannot be read as plain arrays.*never loaded"):
        npz(tmp_path, content(robs=np.array([{}] * 240, dtype=object)))
    path = tmp_path / "o.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("stim", data=[np.arange(i + 1) for i in range(3)], dtype=h5py.vlen_dtype(np.int64))
    reader = choice("reader", "hdf5").build(ReaderFacts(path))
    with pytest.raises(DataError, match="holds objects"):
        reader.read()


@pytest.mark.parametrize(("name", "suffix"), [("npz", "npz"), ("hdf5", "h5")])
def test_d01_d03_missing_and_damaged_files_are_named(tmp_path, name, suffix):
    path = tmp_path / f"x.{suffix}"
    reader = choice("reader", name).build(ReaderFacts(path))
    with pytest.raises(DataError, match=re.escape(f"{path}: no such file")):
        reader.read()
    path.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(DataError, match=r"cannot be read as plain arrays.*15 bytes"):
        reader.read()


def test_d03_an_archive_that_ends_too_soon(tmp_path):
    npz(tmp_path, content())
    path = tmp_path / "m1_a.npz"
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(DataError, match="cannot be read as plain arrays"):
        choice("reader", "npz").build(ReaderFacts(path)).read()


def test_a_single_array_is_not_an_archive(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(DataError, match="one array, not an archive"):
        choice("reader", "npz").build(ReaderFacts(tmp_path / "x.npy")).read()


# ---------------------------------------------------------------------------------------------------------------
# Which sessions a run has


@pytest.fixture
def root(tmp_path):
    for name in ("m1_a", "m1_b", "m2_a"):
        write_session(make(name), tmp_path / "lab" / name)
    (tmp_path / "lab" / "README.md").write_text("notes")
    return tmp_path


def test_sessions_are_named_or_matched_and_come_in_a_fixed_order(root):
    opened = sessions(root / "lab")
    assert [group.name for group in opened.groups] == ["m1_a", "m1_b", "m2_a"]
    assert [group.name for group in sessions(root, sessions=["lab/m2_*", "lab/m1_a"]).groups] == ["m2_a", "m1_a"]
    assert [group.name for group in sessions(root, sessions=["lab/m1_a", "lab/m*"]).groups] == ["m1_a", "m1_b", "m2_a"]


def test_a_session_that_is_not_there_is_an_error_with_the_nearest_name(root):
    with pytest.raises(DataError) as caught:
        sessions(root, sessions=["lab/m1_c", "lab/x*", "lab/m1_a"])
    assert len(caught.value.problems) == 2
    assert "got lab/m1_c" in str(caught.value)
    assert "nearest name is 'm1_" in str(caught.value)
    assert "README.md" in str(caught.value)


def test_every_bad_session_is_told_at_once(root):
    (root / "lab" / "m1_a" / "stim.npy").write_bytes(b"")
    (root / "lab" / "m2_a" / "robs.npy").unlink()
    with pytest.raises(DataError) as caught:
        sessions(root / "lab")
    assert [problem.where.split("/")[-2:] for problem in caught.value.problems] == [
        ["m1_a", "stim.npy"],
        ["lab", "m2_a"],
    ]


def test_the_root_is_the_option_else_the_environment(root, monkeypatch):
    monkeypatch.delenv("VISIONCORE_DATA", raising=False)
    with pytest.raises(DataError) as caught:
        resolve_root("")
    assert "data.root" in str(caught.value)
    assert "VISIONCORE_DATA" in str(caught.value)
    monkeypatch.setenv("VISIONCORE_DATA", str(root))
    assert resolve_root("") == root
    assert resolve_root(str(root / "lab")) == root / "lab"
    with pytest.raises(DataError, match="no such folder"):
        resolve_root(str(root / "nowhere"))


# ---------------------------------------------------------------------------------------------------------------
# Real recordings


@pytest.mark.real_data
def test_bars_on_a_retina():
    reader = choice("reader", "npz", keys={"trial": "segment"}, axes="TCW")
    opened = sessions(real_data(), reader=reader, sessions=["rat_rgc_bars/retina1.npz"])
    sources = {name: opened.sources(name, 20)[0] for name in ("train", "validation", "test", "repeats")}
    assert opened.groups[0].input_shape == (1, 1, 31)
    row = opened.summary().rows[0]
    # 50 segments of 2160 frames, each without its first 20; 54 repeats of 400 frames, whose first 20 lack history
    assert row["train"] + row["validation"] + row["test"] == 50 * 2140
    assert row["repeats"] == 54 * 380
    assert row["no_history"] == 54 * 20
    raw = np.load(real_data() / "rat_rgc_bars" / "retina1.npz")
    group = sources["test"].gather(np.arange(100))
    frames = group.tags["frame"][:, 0].numpy()
    assert (raw["split"][frames] == 2).all()
    assert (raw["segment"][frames] == raw["segment"][frames - 20]).all()
    np.testing.assert_array_equal(group.inputs[:, 0, 5, 0], raw["stim"][frames - 15, 0])
    np.testing.assert_array_equal(group.targets["robs"][:, 0], raw["robs"][frames])


@pytest.mark.real_data
def test_six_chromatic_recordings():
    reader = choice("reader", "npz", keys={"trial": None}, axes="THC")
    opened = sessions(real_data(), reader=reader, sessions=["mouse_rgc_chromatic/rec*.npz"])
    assert [group.name for group in opened.groups] == [f"rec{i}" for i in range(1, 7)]
    assert {group.input_shape for group in opened.groups} == {(2, 1, 1)}
    assert sum(group.targets["robs"].size for group in opened.groups) == 7
    raw = np.load(real_data() / "mouse_rgc_chromatic" / "rec2.npz")
    group = opened.sources("validation", 45)[1].gather(np.arange(50))
    frames = group.tags["frame"][:, 0].numpy()
    assert (raw["split"][frames - 45] == 1).all()
    np.testing.assert_array_equal(group.inputs[:, :, -1, 0, 0], raw["stim"][frames, 0])


def test_d19_no_file_is_left_open_for_other_processes_to_share(tmp_path):
    # A handle of HDF5 that two processes hold breaks silently; what was read needs none.
    recording = hdf5(tmp_path, content())
    assert h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE) == 0
    (tmp_path / "m1_a.h5").unlink()
    assert dataset(recording).sources("train", 4)[0].gather(np.arange(30)).inputs.isfinite().all()
