"""Whatever happens to the files of a run, one good checkpoint is left, is found, and is never a program."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from engine_road import STEPS, differences
from fault_parts import arm, die
from small_disk import on_a_small_disk

# Calls of the operating system by which a file comes to be.
_WRITES = {"write", "fsync", "sendfile", "copy_file_range", "rename", "replace", "link", "unlink", "truncate"}


def at_write(number, note):
    """From step 4 on, end the process before its `number`-th writing call; note how many there were."""
    count = 0

    def watch(frame, event, argument):
        nonlocal count
        if event == "c_call" and argument.__name__ in _WRITES and "test_files" not in frame.f_code.co_filename:
            count += 1
            if count == number:
                die()

    arm("on_train_batch_start", lambda: sys.setprofile(watch), step=4)
    arm("on_train_end", lambda: note.write_text(str(count)))


def test_f07_killed_inside_a_write_with_temporary_files_on_another_file_system(road, moments, repeats, monkeypatch):
    other = Path("/dev/shm")
    if other.stat().st_dev == road.home.stat().st_dev:
        pytest.skip("/dev/shm and the temporary folder are one file system")
    monkeypatch.setenv("TMPDIR", str(other))
    monkeypatch.setattr("tempfile.tempdir", None)  # it is remembered in this process, and so in its children
    note = road.home / "note"
    assert road.train("whole", before=lambda: at_write(0, note)).code == 0
    for number in moments.sample(range(1, int(note.read_text())), min(6 * repeats, int(note.read_text()) - 1)):
        folder = f"cut{number}"
        ended = road.train(folder, before=lambda number=number: at_write(number, note))
        assert ended.code == -signal.SIGKILL, f"write {number}: {ended}"  # it did land inside
        assert road.step(folder) >= 3, f"write {number}"
        again = road.train(folder, resume=True)
        assert again.code == 0, f"write {number}: {again}"
        if road.stock:  # it is a promise of other rows that nothing shows
            continue
        assert not differences(road.state("whole"), road.state(folder)), f"write {number}"
        assert not list(road.checkpoints(folder).glob("*.tmp")), f"write {number}"


def greedy_neighbour(folder):
    """From now on take whatever room there is or becomes free in a file system, at every call of a function."""
    file = (folder / "neighbour").open("wb", buffering=0)

    def take(frame, event, argument):
        with suppress(OSError):
            while event == "c_call":
                file.write(bytes(4096))

    sys.setprofile(take)


def test_f08_a_full_disk_leaves_the_checkpoint_before(road):
    sets = ("callbacks=[toy_faults]",)

    def work(libc):
        small = road.home / "small"
        ended = road.train(
            "small/run", *sets, before=lambda: arm("on_train_batch_start", lambda: greedy_neighbour(small), step=5)
        )
        assert ended.code == (1 if road.stock else 74), ended
        assert "No space left" in ended.err
        assert road.step("small/run") in (3, 4)
        (small / "neighbour").unlink()
        ended = road.train("small/run", *sets, resume=True)
        assert ended.code == 0, ended
        assert road.step("small/run") == STEPS

    on_a_small_disk(road.home, work)


def test_a_folder_that_turns_read_only_leaves_the_checkpoint_before(road):
    def work(libc):
        def read_only():
            assert not libc.mount(None, bytes(road.home / "small"), None, 32 | 1, None)  # MS_REMOUNT | MS_RDONLY

        ended = road.train("small/run", before=lambda: arm("on_save", read_only, step=6))
        assert ended.code == 74, ended
        assert "Read-only file system" in ended.err
        assert road.step("small/run") in (3, 4)
        ended = road.train("small/other")
        assert ended.code == 74, ended
        assert "small/other: cannot write here: Read-only file system" in ended.err

    on_a_small_disk(road.home, work)


def test_f09_a_quota_leaves_the_checkpoint_before(road):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))

    ended = road.train(before=lambda: arm("on_train_batch_start", limit, step=5))
    assert ended.code == (1 if road.stock else 74), ended
    assert "File too large" in ended.err
    assert road.step() in (3, 4)


def cut(road, folder="cut"):
    """A run that was killed, with two generations of its checkpoint."""
    ended = road.train(folder, before=lambda: arm("on_train_batch_start", die, step=8))
    assert ended.code == -signal.SIGKILL, ended
    return road.checkpoints(folder) / "last.ckpt"


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def falls_back(road, damage, reason):
    assert road.train("whole").code == 0
    last = cut(road)
    damage(last)
    ended = road.train("cut", resume=True)
    assert ended.code == 0, ended
    assert reason in ended.err
    assert "falling back to last.prev.ckpt" in ended.err
    assert not differences(road.state("whole"), road.state("cut"))


def test_f10_one_flipped_bit_in_the_newest(road):
    falls_back(road, flip, "content does not match its sha256")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: os.truncate(path, path.stat().st_size - 1), "truncated or changed"),
        (lambda path: path.write_bytes(b""), "the file is empty"),
        (lambda path: path.write_text("hello"), "truncated or changed"),
        (lambda path: path.write_bytes(os.urandom(5000)), "truncated or changed"),
    ],
    ids=["truncated", "empty", "text", "random"],
)
def test_f11_the_newest_is_no_checkpoint(road, damage, reason):
    falls_back(road, damage, reason)


def test_both_generations_damaged_are_refused(road):
    last = cut(road)
    flip(last)
    flip(last.with_name("last.prev.ckpt"))
    ended = road.train("cut", resume=True)
    assert ended.code == 2, ended
    assert str(Path("cut/checkpoints")) in ended.err


class Payload:
    def __reduce__(self):
        return os.system, ("touch executed",)


def alone(road, payload):
    """Put a payload where a run resumes from, without a sidecar and an older generation."""
    last = cut(road)
    for path in last.parent.iterdir():
        path.unlink()
    torch.save(payload, last)


def test_f34_a_program_in_a_checkpoint_is_named_and_not_run(road):
    alone(road, {"visioncore": {"format": 1}, "state_dict": {}, "hook": Payload()})
    ended = road.train("cut", resume=True)
    assert ended.code == 2, ended
    assert "cut/checkpoints/last.ckpt: contains a Python object (posix.system); refused, nothing was run" in ended.err
    assert not (road.home / "executed").exists()


def test_f35_a_checkpoint_at_an_address_is_refused_before_the_network_is_used(road):
    assert road.train().code == 0

    def no_network():
        socket.socket.connect = lambda *arguments: os._exit(98)
        socket.getaddrinfo = lambda *arguments, **more: os._exit(98)

    ended = road.open("run", "http://127.0.0.1:9/best.ckpt", before=no_network)
    assert ended.code == 2, ended
    assert "http://127.0.0.1:9/best.ckpt" in ended.err


def without_optimizer(payload):
    return {**payload, "optimizer_states": []}


def with_nan(payload):
    broken = {name: torch.full_like(value, float("nan")) for name, value in payload["state_dict"].items()}
    return {**payload, "state_dict": broken}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (with_nan, "non-finite values in"),
        (lambda payload: payload["state_dict"], "weights only, not a training checkpoint"),
        (lambda payload: [payload], "it holds a list"),
        (without_optimizer, "the checkpoint has 0 optimizer states, the run has 1"),
    ],
    ids=["nan", "weights", "list", "no_optimizer"],
)
def test_f36_what_is_no_training_checkpoint_is_refused_with_the_reason(road, change, reason):
    cut(road)
    alone_payload = change(road.newest("cut"))
    for path in road.checkpoints("cut").iterdir():
        path.unlink()
    torch.save(alone_payload, road.checkpoints("cut") / "last.ckpt")
    ended = road.train("cut", resume=True)
    assert ended.code == 2, ended
    assert reason in ended.err
