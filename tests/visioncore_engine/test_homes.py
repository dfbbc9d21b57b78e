"""Where frames live: what is chosen from what was measured, and that windows stay the same windows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from visioncore_engine.data import homes, shared
from visioncore_engine.data.homes import settle
from visioncore_engine.errors import ConfigError, DataError, StorageError

CPU = torch.device("cpu")


class Dataset:
    """Holds arrays, and what became of them."""

    def __init__(self, **arrays):
        self.arrays, self.replaced = arrays, {}

    def large_arrays(self):
        return self.arrays

    def replace_arrays(self, arrays):
        self.replaced = dict(arrays)


def arrays(num=2, dtype=np.uint8):
    chance = np.random.default_rng(0)
    return {f"m{i}": chance.integers(0, 99, (50 + i, 1, 3, 4)).astype(dtype) for i in range(num)}


@pytest.fixture
def room(monkeypatch, tmp_path):
    """A memory file system, and memory of which so much is free."""

    def free(device=10**9, host=10**9, share=10**9):
        monkeypatch.setattr(homes, "free_memory", lambda where: host if where.type == "cpu" else device)
        monkeypatch.setattr(shared, "free_bytes", lambda: share)

    monkeypatch.setattr(shared, "ROOT", tmp_path)
    monkeypatch.setattr(shared.attach, "__defaults__", (tmp_path,))
    monkeypatch.setattr(shared.is_there, "__defaults__", (tmp_path,))
    free()
    return free


# ---------------------------------------------------------------------------------------------------------------
# The choice


def test_on_a_device_where_twice_as_much_is_free(room, monkeypatch):
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(homes, "_moved", lambda array, device: torch.from_numpy(array))
    data = Dataset(**arrays())
    size = sum(array.nbytes for array in data.arrays.values())
    room(device=2 * size)
    housing = settle(data, "auto", gpu, token="t")
    assert (housing.home, housing.num_bytes) == ("device", size)
    assert set(data.replaced) == {"m0", "m1"}
    room(device=2 * size - 1)
    assert settle(Dataset(**arrays()), "auto", gpu, token="t").home == "mapped"
    assert settle(Dataset(**arrays()), "device", gpu, token="t").home == "device"  # asked for, and there is room
    room(device=size - 1)
    with pytest.raises(ConfigError, match=r"loader\.home: cannot be 'device': 0\.0 MB of frames"):
        settle(Dataset(**arrays()), "device", gpu, token="t")


def test_shared_where_processes_would_each_hold_arrays_in_memory(room):
    assert settle(Dataset(**arrays()), "auto", CPU, token="a").home == "mapped"
    data = Dataset(**arrays())
    housing = settle(data, "auto", CPU, token="b", processes=2)
    assert housing.home == "shared"
    assert "2 processes" in str(housing)
    for name, array in data.arrays.items():
        np.testing.assert_array_equal(data.replaced[name], array)
        assert not data.replaced[name].flags.writeable
    room(share=100)
    assert settle(Dataset(**arrays()), "auto", CPU, token="c", processes=2).home == "mapped"
    with pytest.raises(ConfigError, match="cannot be 'shared'"):
        settle(Dataset(**arrays()), "shared", CPU, token="d", processes=2)


def test_files_are_left_to_the_system_unless_asked_otherwise(room, tmp_path):
    for name, array in arrays().items():
        np.save(tmp_path / f"{name}.npy", array)
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in arrays()}
    data = Dataset(**mapped)
    housing = settle(data, "auto", CPU, token="t", processes=2)
    assert housing.home == "mapped"
    assert "2 of 2 arrays are memory-mapped files" in str(housing)
    assert data.replaced == {}
    assert settle(data, "shared", CPU, token="t", processes=1).home == "shared"


def test_what_a_device_cannot_hold_stays_and_is_said(room):
    data = Dataset(**arrays(1), wide=np.zeros((4, 1, 2, 2), np.uint16), other=np.zeros((4, 1, 2, 2), ">f4"))
    housing = settle(data, "device", CPU, token="t")
    assert set(data.replaced) == {"m0"}
    assert "2 of 3 arrays stay" in str(housing)
    assert isinstance(data.replaced["m0"], torch.Tensor)
    assert torch.equal(data.replaced["m0"], torch.from_numpy(data.arrays["m0"]))
    with pytest.raises(ConfigError, match="no array has a dtype for it"):
        settle(Dataset(wide=data.arrays["wide"]), "device", CPU, token="t")


def test_a_dataset_that_keeps_its_data_itself(room):
    assert settle(object(), "auto", CPU, token="t").home == "mapped"
    for wanted in ("device", "shared"):
        with pytest.raises(ConfigError, match="large_arrays"):
            settle(object(), wanted, CPU, token="t")


def test_memory_is_measured():
    assert 2**20 < homes.free_memory(CPU) < 2**50


# ---------------------------------------------------------------------------------------------------------------
# Shared memory

CHILD = """
import sys, json
import numpy as np
from pathlib import Path
from visioncore_engine.data import shared
root, readers = Path(sys.argv[1]), int(sys.argv[2])
made = {"a": np.arange(60, dtype=np.int16).reshape(20, 1, 3), "b": np.ones((4, 2), np.float32)}
found = shared.attach(made, "run", readers, root)
assert all(np.array_equal(found[name], made[name]) for name in made)
maps = [line.split()[4] for line in open("/proc/self/maps") if str(root) in line]
print(json.dumps(sorted(set(maps))), flush=True)
sys.stdin.readline()
"""


class Child:
    """A process that attaches, and lives until it is told."""

    def __init__(self, root, readers):
        words = [sys.executable, "-c", CHILD, str(root), str(readers)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.inodes = json.loads(self.process.stdout.readline())

    def end(self):
        self.process.communicate("\n", timeout=60)


def left(root):
    return sorted(path.name for path in (root / f"visioncore-{os.getuid()}").iterdir() if path.is_dir())


def test_all_processes_map_the_same_memory_and_names_go_with_the_last(tmp_path):
    one = Child(tmp_path, 2)
    assert left(tmp_path) == ["run"]
    other = Child(tmp_path, 2)
    assert one.inodes == other.inodes
    assert len(one.inodes) == 2
    assert left(tmp_path) == []  # while both still read
    one.end()
    other.end()


def test_l10_what_a_killed_process_leaves_goes_with_the_next_run(tmp_path):
    lost = Child(tmp_path, 2)
    alive = Child(tmp_path, 3)  # of another run: same token here, so it attaches; it lives on
    lost.process.send_signal(signal.SIGKILL)
    lost.process.communicate()
    alive.process.send_signal(signal.SIGKILL)
    alive.process.communicate()
    found = shared.attach({"x": np.zeros((2, 2))}, "other", 1, tmp_path)
    assert left(tmp_path) == []
    assert found["x"].shape == (2, 2)


def test_what_a_living_process_waits_with_is_not_swept(tmp_path):
    waiting = Child(tmp_path, 2)
    shared.attach({"x": np.zeros((2, 2))}, "other", 1, tmp_path)
    assert left(tmp_path) == ["run"]
    waiting.end()


def test_processes_that_brought_other_data_are_told(tmp_path):
    waiting = Child(tmp_path, 2)
    with pytest.raises(DataError, match="another process of this host shares"):
        shared.attach({"a": np.zeros((3, 1))}, "run", 2, tmp_path)
    waiting.end()


def test_no_room_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    def full(arrays, home):
        home.mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared, "_write", full)
    with pytest.raises(StorageError, match="No space left"):
        shared.attach({"x": np.zeros((2, 2))}, "run", 1, tmp_path)
    assert left(tmp_path) == []


def test_there_is_shared_memory_here():
    assert not Path("/dev/shm").exists() or shared.free_bytes() > 0
