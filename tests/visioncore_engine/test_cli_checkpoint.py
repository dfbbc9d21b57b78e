"""`visioncore checkpoint inspect` says what a file holds, on a machine that has none of its plugins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from visioncore_engine.checkpoint import FORMAT, read_checkpoint
from visioncore_engine.cli import main

FILE = Path(__file__).parents[1] / "fixtures" / f"checkpoint-format-{FORMAT}.ckpt"


@pytest.fixture
def found(capsys):
    assert main(["checkpoint", "inspect", str(FILE), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_holds_everything_that_identifies_the_file(found):
    assert (found["run"], found["step"], found["epoch"], found["format"]) == ("fixture", 6, 2, FORMAT)
    assert set(found["scores"]) == {"val/loss", "val/toy_error", "val/toy_count"}
    assert [group["name"] for group in found["groups"]] == ["group0", "group1"]
    assert found["groups"][1]["targets"]["y"] == {"columns": "cells", "size": 3, "ids": ["g1c0", "g1c1", "g1c2"]}
    (plugin,) = found["plugins"]
    assert (plugin["name"], plugin["distribution"], plugin["version"]) == ("toy_plugin", "", "")
    assert found["components"]["model"] == "toy_plugin:toy_linear"
    assert found["fingerprints"] == {"group0": "5-group0", "group1": "5-group1"}
    weights = read_checkpoint(FILE)["state_dict"]
    assert found["tensors"] == len(weights)
    assert found["offered"] == 3
    assert found["values"] == sum(value.numel() for value in weights.values())


def test_words_fit_a_terminal_and_say_the_same(capsys):
    assert main(["checkpoint", "inspect", str(FILE)]) == 0
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    for word in (
        "3 tensors in place of",
        "fixture",
        "step 6, epoch 2",
        "val/toy_error",
        "group1",
        "y: 3 cells",
        "5-group1",
        "single file",
    ):
        assert word in told


def test_no_plugin_is_looked_for():
    script = (
        "import sys; from visioncore_engine import registry; registry.discover = None; "
        "from visioncore_engine.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "checkpoint", "inspect", str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("part", ["scores", "groups", "record"])
def test_a_file_whose_description_was_changed_exits_with_2(part, tmp_path, capsys):
    payload = read_checkpoint(FILE)
    payload["visioncore"][part] = {"scores": {"x": "y"}, "groups": [{"name": 3}], "record": {"components": 7}}[part]
    path = tmp_path / "changed.ckpt"
    torch.save(payload, path)
    assert main(["checkpoint", "inspect", str(path)]) == 2
    assert "cannot be understood" in capsys.readouterr().err


def test_the_two_actions_have_help_and_one_must_be_chosen(capsys):
    assert main(["checkpoint", "inspect", "--help"]) == 0
    assert main(["checkpoint"]) == 2
    assert "see visioncore checkpoint --help" in capsys.readouterr().err
