"""`visioncore check` sees the headers of sessions on disk, each mistake with its place, and loads no torch for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from neural_recordings import make

from visioncore_engine import resolve
from visioncore_engine.cli import main
from visioncore_engine.errors import DataError
from visioncore_neural.data.folder import write_session
from visioncore_neural.data.readers import Hdf5, Npz
from visioncore_neural.options.reader import ArchiveOptions

RUN = """\
data:
  name: sessions
  root: data
  sessions: ["m*"]
sampler: shuffled
model:
  name: encoder
  core: [{name: conv3d, channels: [2]}]
loss: poisson
optimizer: adamw
trainer: {max_steps: 2}
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISIONCORE_DATA", raising=False)
    (tmp_path / "run.yaml").write_text(RUN)
    for name in ("m1_a", "m1_b"):
        write_session(make(name), tmp_path / "data" / name)
    return tmp_path


def told(*sets):
    with pytest.raises(DataError) as error:
        resolve(["run.yaml"], sets=sets).check_data()
    return str(error.value)


def test_good_sessions_pass(home):
    resolve(["run.yaml"], sets=["model.modulator=film", 'data.units=["*/u1"]']).check_data()


def test_of_formats_without_headers_only_the_paths_are_looked_at(home):
    for reader in ("sensorium", "dset"):
        resolve(["run.yaml"], sets=[f"data.reader={reader}"]).check_data()
        assert "no session is there (got x*)" in told(f"data.reader={reader}", 'data.sessions=["x*"]')


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["data.root=nowhere"], "data error: --set: data.root: no such folder (got nowhere)"),
        (["data.root=null"], "data error: run.yaml:1: data.root: says where the recordings are"),
        (['data.sessions=["m3_*"]'], "data: data.sessions: no session is there (got m3_*)"),
        (['data.sessions=["m1_c"]'], "no session is there (got m1_c); the nearest name is 'm1_"),
        (['data.units=["m1_a/x*"]'], "--set: data.units: matches no unit"),
    ],
    ids=["root", "no root", "pattern", "path", "units"],
)
def test_d01_what_is_not_there_is_named(home, sets, message):
    assert message in told(*sets)


def test_d03_d04_every_bad_header_is_told_at_once(home):
    write_session(make("m2_a"), home / "data" / "m2_a")
    (home / "data" / "m1_a" / "session.json").write_text("{}")
    np.save(home / "data" / "m1_b" / "robs.npy", np.zeros((7, 3), np.uint8))
    stim = home / "data" / "m2_a" / "stim.npy"
    stim.write_bytes(stim.read_bytes()[:-1])
    text = told()
    assert "m1_a/session.json: format: must be 'visioncore_session'" in text
    assert "m1_b/robs.npy: robs: session.json says" in text
    assert "m2_a/stim.npy: cannot be read as a plain array" in text


def test_a_missing_file_of_a_session_is_named(home):
    (home / "data" / "m1_b" / "trial.npy").unlink()
    assert "m1_b: trial: session.json lists it, but trial.npy is not there" in told()


def test_missing_behavior_for_a_modulator_that_needs_it_has_its_line(home):
    plain = make("m2_a", behavior=None, behavior_names=())
    write_session(plain, home / "data" / "m2_a")
    (home / "run.yaml").write_text(RUN.replace("loss:", "  modulator: film\nloss:"))
    text = told()
    assert text.startswith(
        "data error: run.yaml:9: model.modulator: missing behavior for the modulator 'film', which needs it: "
        "session 'm2_a' (data/m2_a) has none"
    )
    assert text.count("data error") == 1
    resolve(["run.yaml"], sets=["data.prepare=[{name: velocity, of: eyepos}]"]).check_data()  # which makes behavior
    assert "the data do not serve it; add it to `data.side`" in told("data.side=[eyepos]")
    assert "--set: data.side: session 'm2_a' (data/m2_a) has no behavior" in told("data.side=[behavior]")
    assert "data.prepare.velocity: cannot differentiate behavior" in told(
        "data.prepare=[{name: velocity, of: behavior}]"
    )
    assert "data.prepare.split_relu: cannot change behavior" in told("data.prepare=[split_relu, velocity]")
    resolve(["run.yaml"], sets=["data.prepare=[velocity, split_relu]"]).check_data()


def test_sessions_of_one_name_or_another_rate_are_refused(home):
    write_session(make("m1_a"), home / "data" / "m9_copy")
    assert "two sessions have one name (got m1_a)" in told()
    write_session(make("m3_a", dt=0.02), home / "data" / "m3_a")
    assert "dt: session 'm1_a' has 0.01 s per frame (got 0.02 s)" in told('data.sessions=["m1_a", "m3_a"]')


def archive(path, **changes):
    arrays = {
        "stim": np.zeros((50, 4, 5), np.uint8),
        "robs": np.ones((50, 2), np.uint8),
        "dfs": np.ones((50, 2)),
        "trial": np.repeat(np.arange(5.0), 10),
        "dt": np.float64(0.01),
        "units": np.array(["a", "b"]),
        "split": np.array(["train"] * 30 + ["validation"] * 20),
        **changes,
    }
    if path.suffix == ".npz":
        np.savez_compressed(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for key, value in arrays.items():
                file[key] = value.astype("S") if value.dtype.kind == "U" else value
    return path


@pytest.mark.parametrize(("reader", "name"), [(Npz, "m1.npz"), (Hdf5, "m1.h5")])
def test_headers_of_archives_are_those_of_the_recording_and_hold_nothing(tmp_path, reader, name):
    from visioncore_engine.contracts import ReaderFacts

    made = reader(ArchiveOptions(), ReaderFacts(archive(tmp_path / name)))
    whole, headers = made.read(), made.headers()
    assert {k: (a.shape, a.dtype.kind) for k, a in whole.arrays().items() if k != "trial"} == {
        k: (a.shape, a.dtype.kind) for k, a in headers.arrays().items() if k != "trial"
    }
    assert (whole.units, whole.dt, whole.name) == (headers.units, headers.dt, headers.name)
    assert whole.robs.any()
    assert not headers.robs.any()


@pytest.mark.parametrize("reader", ["npz", "hdf5"])
def test_d04_d11_archives_are_checked_by_their_headers(home, reader):
    suffix = {"npz": "npz", "hdf5": "h5"}[reader]
    archive(home / "data" / f"m5.{suffix}", robs=np.ones((49, 2), np.uint8))
    sets = [f"data.reader={reader}", f"data.sessions=[m5.{suffix}]"]
    assert "robs: the stimulus has 50 frames but this has 49 (got (49, 2))" in told(*sets)
    (home / "data" / f"m5.{suffix}").write_bytes(b"nothing of the kind")
    assert "cannot be read as plain arrays" in told(*sets)
    archive(home / "data" / f"m5.{suffix}", units=np.array(["a", "a"]))
    assert "unit ids must differ" in told(*sets)


def test_only_check_looks_and_says_so_with_exit_code_2(home, capsys):
    (home / "data" / "m1_a" / "session.json").unlink()
    (home / "data" / "m1_b" / "session.json").unlink()
    resolve(["run.yaml"])  # notebooks and reports resolve where the data are not
    assert main(["check", "run.yaml"]) == 2
    assert "no session is there" in capsys.readouterr().err
    assert main(["check", "run.yaml", "--no-data"]) == 0
    assert main(["check", "run.yaml", "--print"]) == 0


def test_no_torch_is_loaded_and_the_time_is_bounded(home):
    script = (
        "import sys, resource; sys.modules['torch'] = None; from visioncore_engine.cli import main; "
        "code = main(['check', 'run.yaml']); used = resource.getrusage(resource.RUSAGE_SELF); "
        "print(used.ru_utime + used.ru_stime, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stderr) < 2.0  # measured 0.3; a loaded machine doubles it


def test_a_header_of_another_type_is_a_mistake_of_the_data(home):
    path = home / "data" / "m1_a" / "session.json"
    header = json.loads(path.read_text())
    for damage in ({"units": 3}, {"arrays": []}, {"dt": "fast"}, {"behavior": 7}, {"arrays": {"stim": 1}}):
        path.write_text(json.dumps({**header, **damage}))
        assert "m1_a" in told()
