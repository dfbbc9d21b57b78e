"""`visioncore check` sees the headers of files of examples, without torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from visioncore_engine import resolve
from visioncore_engine.errors import DataError

RUN = """\
data: {name: arrays, root: data, files: ["*.npz"]}
sampler: shuffled
model: cnn
loss: cross_entropy
optimizer: adamw
trainer: {max_steps: 2}
"""
ARRAYS = {"inputs": np.zeros((6, 1, 4, 4)), "labels": np.arange(6) % 2, "split": np.array([0, 0, 0, 0, 1, 2])}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISIONCORE_DATA", raising=False)
    (tmp_path / "run.yaml").write_text(RUN)
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data" / "one.npz", **ARRAYS)
    return tmp_path


def told(*sets):
    with pytest.raises(DataError) as error:
        resolve(["run.yaml"], sets=sets).check_data()
    return str(error.value)


def folder(path, **arrays):
    path.mkdir()
    for key, value in arrays.items():
        np.save(path / f"{key}.npy", value)


def test_good_files_and_folders_pass_without_torch(home):
    folder(home / "data" / "two", **ARRAYS)
    script = "import sys; sys.modules['torch'] = None; from visioncore_engine.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, "check", "run.yaml", "--set", 'data.files=["*.npz", "two"]'],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["data.root=nowhere"], "no such folder"),
        (["data.root=null"], "where the data are is not known"),
        (["data.files=other.npz"], "no file matches (got 'other.npz'); the folder holds one.npz"),
        (
            ["data.labels=lables"],
            "one.npz: lables: no such array; there are inputs, labels, split; did you mean 'labels'?",
        ),
        (["data.axes=nhw"], "one.npz: inputs: `axes` 'nhw' names 3 axes (got shape (6, 1, 4, 4))"),
    ],
)
def test_d01_what_is_not_there_is_named(home, sets, message):
    assert message in told(*sets)


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("labels", np.arange(5), "labels: 6 examples, but 5 values here"),
        ("labels", np.arange(6.0), "labels: one integer per example is needed (got float64 (6,))"),
        ("split", np.zeros((6, 1), int), "split: one integer per example is needed"),
        ("inputs", np.array(["x"] * 6).reshape(6, 1, 1, 1), "inputs: numbers are needed (got <U1)"),
        ("inputs", np.array([None] * 6, object).reshape(6, 1, 1, 1), "inputs: pickled objects are refused"),
    ],
    ids=["length", "dtype", "shape", "text", "pickle"],
)
def test_d04_d11_d12_headers_that_do_not_fit_are_named(home, kind, key, value, message):
    if kind == "file":
        np.savez(home / "data" / "bad.npz", **{**ARRAYS, key: value})
        assert f"bad.npz: {message}" in told()
    else:
        folder(home / "data" / "bad", **{**ARRAYS, key: value})
        assert f"bad: {message}" in told('data.files=["bad"]')


@pytest.mark.parametrize("cut", [0, 40, -60])
def test_d03_a_file_that_is_cut_short_is_named(home, cut):
    path = home / "data" / "one.npz"
    path.write_bytes(path.read_bytes()[:cut])
    assert "one.npz: cannot be read: cut short, or no NumPy file" in told()
