from __future__ import annotations

import os
import pickle
import resource
import signal
from pathlib import Path

import pytest
import torch

from visioncore_engine.checkpoint import (
    _PARTS,
    FORMAT,
    link_checkpoint,
    offered_weights,
    read_checkpoint,
    trained_weights,
    write_checkpoint,
)
from visioncore_engine.checkpointing import CheckpointWriter
from visioncore_engine.config.run import CheckpointOptions
from visioncore_engine.contracts import GroupSpec
from visioncore_engine.describe import group_to_plain, groups_of
from visioncore_engine.errors import CheckpointError, RunError, StorageError


def payload(value=1.0, size=8):
    own = {name: kind() for name, kind in _PARTS.items()}
    return {"state_dict": {"model.w": torch.full((size,), value)}, "visioncore": {"format": FORMAT, **own}}


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "last.ckpt"
    write_checkpoint(payload(), path)
    return path


def test_round_trip_is_exact(good):
    assert torch.equal(read_checkpoint(good)["state_dict"]["model.w"], torch.ones(8))
    assert {path.name for path in good.parent.iterdir()} == {"last.ckpt", "last.ckpt.sha256"}


def test_the_generation_before_is_kept_and_loads(good):
    write_checkpoint(payload(2.0), good, keep_previous=True)
    write_checkpoint(payload(3.0), good, keep_previous=True)
    assert read_checkpoint(good)["state_dict"]["model.w"][0] == 3
    assert read_checkpoint(good.with_name("last.prev.ckpt"))["state_dict"]["model.w"][0] == 2


def test_a_second_name_loads_and_survives_the_first(good):
    best = good.with_name("best.ckpt")
    link_checkpoint(good, best)
    write_checkpoint(payload(5.0), good)
    assert read_checkpoint(best)["state_dict"]["model.w"][0] == 1


def offering(value, name="model.w", size=8):
    content = payload()
    content["visioncore"]["offered"] = {name: torch.full((size,), value)}
    return content


def test_offered_weights_are_for_everything_but_training_on(tmp_path):
    path = tmp_path / "best.ckpt"
    write_checkpoint(offering(2.0), path)
    read = read_checkpoint(path)
    assert trained_weights(read)["w"].tolist() == [1.0] * 8
    assert offered_weights(read)["w"].tolist() == [2.0] * 8
    write_checkpoint(payload(), path)
    assert offered_weights(read_checkpoint(path))["w"].tolist() == [1.0] * 8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (offering(float("inf")), "non-finite values in the offered 'model.w'"),
        (offering(1.0, name="model.v"), "offer 'model.v': no weight has this name and shape"),
        (offering(1.0, size=1), "offer 'model.w': no weight has this name and shape"),
    ],
)
def test_what_cannot_be_offered_replaces_no_good_file_and_is_not_read(good, content, message):
    with pytest.raises(RunError, match=message):
        write_checkpoint(content, good)
    assert read_checkpoint(good)["state_dict"]["model.w"][0] == 1
    torch.save(content, good)
    good.with_name("last.ckpt.sha256").unlink()
    assert "non-finite" in refused(good) or "not tensors by name" in refused(good)


def test_weights_are_offered_by_one_callback_for_one_checkpoint(tmp_path):
    writer = CheckpointWriter(CheckpointOptions(), tmp_path)
    writer.offer_weights({"model.w": torch.ones(8)})
    with pytest.raises(RunError, match="two callbacks offer weights"):
        writer.offer_weights({"model.w": torch.zeros(8)})


def refused(path):
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(path)
    assert str(path) in str(error.value)
    return str(error.value)


class Payload:
    def __reduce__(self):
        return os.system, ("touch executed",)


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("case", "damage", "message"),
    [
        ("K01", lambda path: path.unlink(), "no such checkpoint"),
        ("K02", lambda path: (path.unlink(), path.mkdir()), "is a folder"),
        ("K03", lambda path: path.write_bytes(b""), "empty"),
        ("K04", lambda path: path.write_bytes(path.read_bytes()[:-100]), "does not match its sha256"),
        ("K05", _flip, "does not match its sha256"),
    ],
)
def test_damage_is_named(good, case, damage, message):
    damage(good)
    assert message in refused(good)


@pytest.mark.parametrize(
    ("case", "content", "message"),
    [
        ("K06-text", lambda path: path.write_text("hello"), "not a checkpoint"),
        ("K06-random", lambda path: path.write_bytes(bytes(range(256)) * 9), "not a checkpoint"),
        ("K07", lambda path: torch.save({"w": torch.ones(2)}, path), "weights only"),
        ("K08", lambda path: torch.save([torch.ones(2)], path), "holds a list"),
        ("K12", lambda path: torch.save(payload(float("nan")), path), "non-finite values in 'model.w'"),
        (
            "K17",
            lambda path: torch.save({"state_dict": {}, "visioncore": {"format": 99}}, path),
            "written in format 99",
        ),
    ],
)
def test_what_is_not_ours_is_refused_with_the_reason(tmp_path, case, content, message):
    path = tmp_path / "foreign.ckpt"
    content(path)
    assert message in refused(path)


def test_k07_bare_weights_say_what_to_give_instead(tmp_path):
    path = tmp_path / "weights.ckpt"
    torch.save({"w": torch.ones(2)}, path)
    told = refused(path)
    assert told.endswith(
        "weights only, not a training checkpoint; give a checkpoint from a run folder's `checkpoints/`, which says "
        "what it is"
    )
    torch.save({}, path)
    assert "not a checkpoint of this engine" in refused(path)


@pytest.mark.parametrize("key", ["_instantiator", "_class_path"])
@pytest.mark.parametrize("place", ["hyper_parameters", "datamodule_hyper_parameters", ""])
def test_k11_a_file_that_names_code_to_run_is_refused(tmp_path, key, place):
    path = tmp_path / "foreign.ckpt"
    named = {key: "os.system"}
    torch.save({**payload(), **({place: named} if place else named)}, path)
    assert f"names code to run ({key}); refused, nothing was run" in refused(path)


@pytest.mark.parametrize("part", [*_PARTS, "state_dict"])
@pytest.mark.parametrize("damage", [None, "text", 1.5])
def test_a_file_that_lacks_a_part_says_which(tmp_path, part, damage):
    path = tmp_path / "last.ckpt"
    content = payload()
    if part == "state_dict":
        content[part] = damage
    else:
        content["visioncore"][part] = damage
    torch.save(content, path)
    told = refused(path)
    assert ("its weights are not tensors by name" if part == "state_dict" else f"it lacks {part}") in told


@pytest.mark.parametrize("group", [torch.ones(3), {"labels": torch.ones(3)}, {"targets": torch.ones(3)}, [], None])
def test_groups_that_are_no_groups_are_refused(group):
    spec = GroupSpec("m1", labels={}, input_shape=(5,), targets={})
    assert groups_of({"visioncore": {"groups": [group_to_plain(spec)]}}, "last.ckpt") == [spec]
    broken = {**group_to_plain(spec), **group} if isinstance(group, dict) else group
    with pytest.raises(CheckpointError, match=r"last\.ckpt: its groups cannot be understood: "):
        groups_of({"visioncore": {"groups": [broken]}}, "last.ckpt")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe nothing", b"a" * 64])
def test_a_checksum_that_is_damaged_is_no_traceback(good, content):
    good.with_name("last.ckpt.sha256").write_bytes(content)
    if content:
        assert "does not match its sha256" in refused(good)
    else:
        assert read_checkpoint(good)  # as where there is none


@pytest.mark.parametrize("writer", ["torch", "pickle"])
@pytest.mark.parametrize("forced", [False, True])
def test_k09_a_malicious_pickle_is_refused_and_nothing_runs(tmp_path, monkeypatch, writer, forced):
    monkeypatch.chdir(tmp_path)
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path = tmp_path / "evil.ckpt"
    content = {"visioncore": {"format": FORMAT}, "state_dict": {}, "hook": Payload()}
    if writer == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    message = refused(path)
    assert "refused, nothing was run" in message or writer == "pickle"
    assert not (tmp_path / "executed").exists()


def test_k10_urls_are_refused_before_any_network_use(monkeypatch):
    monkeypatch.setattr("socket.socket", lambda *args, **kwargs: pytest.fail("the network was used"))
    assert "only local files" in refused("https://example.org/best.ckpt")


def test_non_finite_weights_never_replace_a_good_file(good):
    with pytest.raises(RunError, match="non-finite"):
        write_checkpoint(payload(float("inf")), good)
    assert read_checkpoint(good)["state_dict"]["model.w"][0] == 1


def in_a_child(work):
    """Exit code of a forked child that runs `work`: torch is imported once, and a crash is a real one."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = work() or 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_full_disk_keeps_the_last_good_file_and_says_so(tmp_path):
    path = tmp_path / "last.ckpt"
    write_checkpoint(payload(size=10), path)

    def fill():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            write_checkpoint(payload(size=100_000), path)
        except StorageError as error:
            (tmp_path / "said").write_text(str(error))
            return error.exit_code
        return 0

    assert in_a_child(fill) == 74
    said = (tmp_path / "said").read_text()
    assert str(path) in said
    assert "needs 401" in said
    assert len(read_checkpoint(path)["state_dict"]["model.w"]) == 10
    assert not list(tmp_path.glob("*.tmp"))


def test_a_crash_at_any_moment_of_a_save_leaves_a_loadable_generation(tmp_path):
    def save_and_die(path, crash_at):
        calls = 0

        def dying(original):
            def call(*args, **kwargs):
                nonlocal calls
                if calls == crash_at:
                    os._exit(9)
                calls += 1
                return original(*args, **kwargs)

            return call

        os.fsync, os.link, Path.replace = dying(os.fsync), dying(os.link), dying(Path.replace)
        write_checkpoint(payload(2.0), path, keep_previous=True)

    for crash_at in range(100):
        path = tmp_path / str(crash_at) / "last.ckpt"
        write_checkpoint(payload(1.0), path)
        code = in_a_child(lambda path=path, crash_at=crash_at: save_and_die(path, crash_at))
        assert read_checkpoint(path)["state_dict"]["model.w"][0] in (1.0, 2.0)
        if code == 0:
            break
        assert code == 9
    assert 10 <= crash_at < 100  # the crashes did land inside the save, and one save got through
