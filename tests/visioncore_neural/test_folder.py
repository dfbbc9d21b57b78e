"""Session folders: written whole or not at all, read by memory map, and known by their content."""

from __future__ import annotations

import errno
import json
import pickle
import threading

import numpy as np
import pytest
from neural_recordings import make

from visioncore_engine.errors import DataError, StorageError
from visioncore_neural.data import arrays, folder
from visioncore_neural.data.arrays import MappedArray
from visioncore_neural.data.fingerprint import recording_fingerprint
from visioncore_neural.data.folder import read_session, write_session
from visioncore_neural.recording import Affine


@pytest.fixture
def session(tmp_path):
    write_session(make(degrees_per_pixel=0.1), tmp_path / "m1_a")
    return tmp_path / "m1_a"


def change(session, **values):
    header = json.loads((session / "session.json").read_text())
    (session / "session.json").write_text(json.dumps({**header, **values}))


def test_what_is_written_is_read_back(tmp_path):
    recording = make(affine={"stim": Affine(np.asarray(0.5), np.asarray(1.0))}, degrees_per_pixel=0.25)
    fingerprint = write_session(recording, tmp_path / "deep" / "m1_a")
    again = read_session(tmp_path / "deep" / "m1_a")
    assert set(again.arrays()) == set(recording.arrays())
    for key, array in recording.arrays().items():
        assert isinstance(again.array(key), MappedArray)
        assert again.array(key).dtype == array.dtype
        np.testing.assert_array_equal(np.asarray(again.array(key)), array)
    for name in ("name", "subject", "dt", "units", "behavior_names", "degrees_per_pixel", "kind"):
        assert getattr(again, name) == getattr(recording, name)
    np.testing.assert_array_equal(again.values("stim", slice(3)), recording.values("stim", slice(3)))
    assert again.fingerprint == fingerprint == recording_fingerprint(recording)


def test_the_fingerprint_follows_the_content_and_nothing_else(tmp_path):
    known = recording_fingerprint(make())
    assert recording_fingerprint(make(path="elsewhere")) == known
    robs = make().robs.copy()
    robs[17, 1] += 1
    assert recording_fingerprint(make(robs=robs)) != known
    assert recording_fingerprint(make(units=("u0", "u1", "x"))) != known
    assert recording_fingerprint(make(robs=make().robs.astype(np.int64))) != known


def test_units_that_were_not_chosen_are_not_written(tmp_path):
    valid = np.random.default_rng(1).random((240, 3)) > 0.5
    write_session(make(valid=valid).select(np.array([2])), tmp_path / "m1_a")
    again = read_session(tmp_path / "m1_a")
    assert again.units == ("u2",)
    np.testing.assert_array_equal(np.asarray(again.robs), make().robs[:, 2:])
    np.testing.assert_array_equal(np.asarray(again.valid), valid[:, 2:])


def test_an_existing_session_is_not_replaced_unasked(session):
    with pytest.raises(DataError, match="exists already"):
        write_session(make(), session)
    write_session(make(seed=5), session, overwrite=True)
    np.testing.assert_array_equal(np.asarray(read_session(session).robs), make(seed=5).robs)


def test_a_full_disk_leaves_nothing_behind_and_keeps_the_old_session(session, monkeypatch):
    before = read_session(session).fingerprint

    def full(array, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder, "_write_array", full)
    with pytest.raises(StorageError, match="No space left"):
        write_session(make(seed=5), session, overwrite=True)
    assert [path.name for path in session.parent.iterdir()] == ["m1_a"]
    assert read_session(session).fingerprint == before


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: (s / "stim.npy").unlink(), "stim.npy is not there"),
        (lambda s: (s / "session.json").unlink(), "it has no session.json"),
        (lambda s: (s / "session.json").write_text("{"), "cannot be read"),
        (lambda s: change(s, format="other"), "must be 'visioncore_session'"),
        (lambda s: change(s, version=99), "reads version 1"),
        (lambda s: change(s, units=["a", "a", "b"]), "more than once"),
        (lambda s: np.save(s / "robs.npy", np.zeros((7, 3), np.uint8)), "changed after it was written"),
    ],
)
def test_a_damaged_session_is_refused_with_its_path(session, damage, message):
    damage(session)
    with pytest.raises(DataError) as caught:
        read_session(session)
    assert message in str(caught.value)
    assert str(session) in str(caught.value)


@pytest.mark.parametrize("size", [0, 64, 1000])
def test_d03_a_truncated_array_is_named_with_its_size(session, size):
    path = session / "stim.npy"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match=rf"stim\.npy: cannot be read .*{size} bytes"):
        read_session(session)


def test_d12_a_pickled_array_is_refused_and_nothing_runs(session, tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    np.save(session / "stim.npy", np.array([Payload()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="pickled"):
        read_session(session)
    assert not (tmp_path / "ran").exists()


def test_no_such_folder(tmp_path):
    with pytest.raises(DataError, match="no such session folder"):
        read_session(tmp_path / "nowhere")
    (tmp_path / "session.json").write_text("{}")
    with pytest.raises(DataError, match="is a file; a session is the folder around it"):
        read_session(tmp_path / "session.json")


def test_open_files_are_bounded_however_many_sessions(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "MAX_OPEN", 5)
    recordings = []
    for i in range(4):
        write_session(make(f"m1_{i}", frames=50), tmp_path / f"m1_{i}")
        recordings.append(read_session(tmp_path / f"m1_{i}"))
    for recording in recordings * 2:
        for key in recording.arrays():
            np.asarray(recording.array(key)[:1])
            assert arrays.num_open() <= 5


def test_a_mapped_array_pickles_as_its_path_and_reads_from_threads(session):
    recording = pickle.loads(pickle.dumps(read_session(session)))
    assert len(pickle.dumps(recording)) < 5000
    rows = {}

    def read(i):
        rows[i] = [np.asarray(recording.stim[i * 20 + j]) for j in range(20)]

    threads = [threading.Thread(target=read, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = make().stim
    for i, found in rows.items():
        np.testing.assert_array_equal(found, expected[i * 20 : i * 20 + 20])
