"""Older checkpoint formats: a chain of pure functions, and one file of every format that still loads and resumes."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest
import torch
import toy_plugin

from visioncore_engine import load, resolve, train
from visioncore_engine.checkpoint import FORMAT, read_as_written, read_checkpoint, write_checkpoint
from visioncore_engine.cli import main
from visioncore_engine.migration import STEPS, carry_over
from visioncore_engine.record import to_json

FIXTURES = Path(__file__).parents[1] / "fixtures"
KEPT = sorted(FIXTURES.glob("checkpoint-format-*.ckpt"))


@pytest.fixture(scope="module")
def registry():
    from visioncore_engine.registry import discover

    return discover(files=[toy_plugin.__file__])


def test_one_file_of_every_format_is_kept():
    assert [path.name for path in KEPT] == [f"checkpoint-format-{version}.ckpt" for version in range(1, FORMAT + 1)]
    assert [read_as_written(path)["visioncore"]["format"] for path in KEPT] == list(range(1, FORMAT + 1))
    assert sorted(STEPS) == list(range(1, FORMAT))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_file_of_every_format_loads_as_a_model(path, registry):
    model = load(path, registry=registry)
    assert list(model.groups) == ["group0", "group1"]
    assert model("group1", torch.ones(2, 5)).shape == (2, 3)


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_file_of_every_format_is_resumed_as_if_it_had_not_been_interrupted(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = read_checkpoint(path)["visioncore"]["run"]
    run = {**run, "trainer": {**run["trainer"], "max_epochs": 4}}

    def resolved(folder):
        (tmp_path / "run.yaml").write_text(resolve(run, plugin_files=[toy_plugin.__file__]).to_yaml())
        return resolve(["run.yaml"], sets=[f"run.dir={folder}"], plugin_files=[toy_plugin.__file__])

    checkpoints = tmp_path / "kept" / "checkpoints"
    checkpoints.mkdir(parents=True)
    shutil.copy(path, checkpoints / "last.ckpt")
    (tmp_path / "kept" / "run.yaml").write_text(resolved("kept").to_yaml())
    (tmp_path / "kept" / "record.json").write_text(to_json(read_checkpoint(path)["visioncore"]["record"]))
    train(resolved("kept"), resume=True, quiet=True)
    train(resolved("whole"), quiet=True)
    one, two = (read_checkpoint(Path(folder) / "checkpoints/last.ckpt") for folder in ("kept", "whole"))
    assert one["global_step"] == two["global_step"] == 12
    for name, value in two["state_dict"].items():  # the file was made on another machine: to rounding
        torch.testing.assert_close(one["state_dict"][name], value, rtol=1e-3, atol=1e-4)


# -- the chain, on formats that never were


def first(payload):
    return {**payload, "visioncore": {**payload["visioncore"], "added": 1}}


def second(payload):
    own = {key: value for key, value in payload["visioncore"].items() if key != "added"}
    return {**payload, "visioncore": {**own, "renamed": payload["visioncore"]["added"]}}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_payload_goes_through_the_steps_from_its_version_on_and_is_not_changed(version):
    own = {"format": version, "run": {}} | ({"added": 1} if version == 2 else {"renamed": 1} if version == 3 else {})
    payload = {"state_dict": {}, "visioncore": own}
    before = copy.deepcopy(payload)
    carried = carry_over(payload, {1: first, 2: second})
    assert carried == {"state_dict": {}, "visioncore": {"format": 3, "run": {}, "renamed": 1}}
    assert payload == before


def test_no_step_of_the_chain_changes_what_it_is_given():
    payload = read_as_written(KEPT[0])
    before = copy.deepcopy(payload["visioncore"])
    carried = carry_over(payload)
    assert payload["visioncore"] == before
    assert carried["visioncore"]["format"] == FORMAT
    assert carry_over(carried) == carried


# -- the command


def test_migrate_writes_the_present_format_and_replaces_no_other_file(tmp_path, capsys):
    old, new = tmp_path / "old.ckpt", tmp_path / "new.ckpt"
    shutil.copy(KEPT[0], old)
    assert main(["checkpoint", "migrate", str(old), str(new)]) == 0
    assert capsys.readouterr().out == f"{new}: written in format {FORMAT} (was 1)\n"
    assert read_as_written(new)["visioncore"] == read_checkpoint(old)["visioncore"]
    assert read_as_written(old)["visioncore"]["format"] == 1
    assert main(["checkpoint", "migrate", str(old), str(new)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_migrate_in_place_is_atomic_has_a_checksum_and_is_done_once(tmp_path, capsys):
    path = tmp_path / "old.ckpt"
    shutil.copy(KEPT[0], path)
    assert main(["checkpoint", "migrate", str(path)]) == 0
    assert sorted(found.name for found in tmp_path.iterdir()) == ["old.ckpt", "old.ckpt.sha256"]
    assert read_as_written(path)["visioncore"]["format"] == FORMAT
    assert main(["checkpoint", "migrate", str(path)]) == 0
    assert "is of format" in capsys.readouterr().out


def test_k17_a_later_format_is_refused_and_left_alone(tmp_path, capsys):
    payload = read_checkpoint(KEPT[0])
    path = tmp_path / "later.ckpt"
    write_checkpoint({**payload, "visioncore": {**payload["visioncore"], "format": FORMAT + 1}}, path)
    content = path.read_bytes()
    assert main(["checkpoint", "migrate", str(path)]) == 2
    assert f"written in format {FORMAT + 1}, this engine reads 1 to {FORMAT}; upgrade" in capsys.readouterr().err
    assert path.read_bytes() == content
