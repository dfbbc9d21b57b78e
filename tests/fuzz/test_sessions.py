"""Mutated recordings: opened, looked at by their headers, and read, or refused as the user's mistake."""

from __future__ import annotations

import json
import shutil

import h5py
import numpy as np
import pytest
from fuzzing import bytes_of, damaged, examples, mutate, mutations, refusals
from hypothesis import given
from hypothesis import strategies as st
from neural_recordings import choice, make, sessions

from visioncore_engine.contracts import ReaderFacts
from visioncore_neural.data.folder import HEADER, write_session
from visioncore_neural.data.readers import Hdf5, Npz


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A session folder and two archives of the same arrays, which no example changes."""
    folder = tmp_path_factory.mktemp("good")
    recording = make("m1_a", frames=120, repeat_frame=np.tile(np.arange(40, dtype=np.int32), 3), split=None)
    write_session(recording, folder / "m1_a")
    arrays = {key: np.asarray(array) for key, array in recording.arrays().items()}
    arrays |= {"dt": np.float64(0.01), "units": np.array(["a", "b", "c"]), "subject": np.array("m1")}
    np.savez(folder / "m1_a.npz", **arrays)
    with h5py.File(folder / "m1_a.h5", "w") as file:
        for key, value in arrays.items():
            file[key] = value.astype("S") if value.dtype.kind == "U" else value
    return folder


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


def use(root, **options):
    """Everything that a run would do with a session before its first step, and one batch."""
    with refusals():
        data = sessions(root, **options)
        for source in data.sources("train", 3):
            source.weights()
            source.column_weights()
            source.gather(np.arange(min(source.num_items, 4)))
        data.summary()


def fresh(good, work):
    shutil.rmtree(work / "m1_a", ignore_errors=True)
    shutil.copytree(good / "m1_a", work / "m1_a")
    return work / "m1_a"


@examples(150)
@given(steps=mutations)
def test_mutated_headers(good, work, steps):
    header = fresh(good, work) / HEADER
    header.write_text(json.dumps(mutate(json.loads(header.read_text()), steps)))
    use(work, sessions=["m1_a"])


@examples(150)
@given(
    name=st.sampled_from([HEADER, "stim.npy", "robs.npy", "valid.npy", "trial.npy", "repeat_frame.npy"]), steps=bytes_of
)
def test_mutated_files(good, work, name, steps):
    path = fresh(good, work) / name
    path.write_bytes(damaged(path.read_bytes(), steps))
    use(work, sessions=["m1_a"])


@examples(100)
@given(
    name=st.sampled_from(["stim", "robs", "valid", "trial", "behavior", "eyepos", "repeat_frame"]),
    dtype=st.sampled_from(["f8", "f4", "i8", "u1", "b1", "c8", "U3", "S2", "M8[s]", "O"]),
    content=st.tuples(
        st.sampled_from([0, 1, 119, 120]),
        st.lists(st.integers(0, 6), max_size=4),
        st.sampled_from([0, 1, -1, 200, np.nan, np.inf]),
        st.booleans(),
    ),
)
def test_other_arrays(good, work, name, dtype, content):
    """Arrays of any dtype and shape, whether or not the header says so too."""
    num_frames, rest, value, declared = content
    folder, size = fresh(good, work), (num_frames, *rest)
    with np.errstate(invalid="ignore"):
        array = np.full(size, value).astype("f4" if dtype.startswith("M") else dtype, casting="unsafe")
    array = array.astype(dtype) if not dtype.startswith("M") else np.zeros(size, dtype)
    np.save(folder / f"{name}.npy", array, allow_pickle=True)
    if declared:
        header = json.loads((folder / HEADER).read_text())
        header["arrays"][name] |= {"dtype": array.dtype.str, "shape": list(array.shape)}
        (folder / HEADER).write_text(json.dumps(header))
    use(work, sessions=["m1_a"])


@examples(60)
@given(
    patterns=st.lists(
        st.text(max_size=8) | st.sampled_from(["m*", "/abs/*", "../*", "", "[", "**", "a\0b", "~"]), max_size=3
    )
)
def test_any_pattern(good, patterns):
    use(good, sessions=patterns)


@examples(100)
@given(reader=st.sampled_from(["npz", "hdf5"]), steps=bytes_of)
def test_mutated_archives(good, work, reader, steps):
    kind, suffix = {"npz": (Npz, "npz"), "hdf5": (Hdf5, "h5")}[reader]
    (work / f"m.{suffix}").write_bytes(damaged((good / f"m1_a.{suffix}").read_bytes(), steps))
    use(work, sessions=[f"m.{suffix}"], reader=choice("reader", reader))
    block = choice("reader", reader)
    with refusals():
        kind(block.options, ReaderFacts(work / f"m.{suffix}")).headers()
