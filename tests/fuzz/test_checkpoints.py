"""Mutated checkpoints: read, loaded as a model and inspected, or refused as the user's mistake."""

from __future__ import annotations

import copy
import io
from functools import cache
from pathlib import Path

import pytest
import torch
import toy_plugin
from engine_road import differences
from fuzzing import bytes_of, damaged, examples, mutate, mutations, refusals
from hypothesis import given
from hypothesis import strategies as st

from visioncore_engine import discover, load
from visioncore_engine.checkpoint import FORMAT, read_checkpoint
from visioncore_engine.cli import main

FIXTURES = Path(__file__).parents[1] / "fixtures"
KEPT = [FIXTURES / f"checkpoint-format-{version}.ckpt" for version in range(1, FORMAT + 1)]
CONTENT = [path.read_bytes() for path in KEPT]


@cache
def registry():  # no fixture: hypothesis writes out the arguments of an example that fails
    return discover(files=[toy_plugin.__file__])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where every example writes its file; no checksum lies beside it, so that damage reaches the reader."""
    return tmp_path_factory.mktemp("fuzz") / "last.ckpt"


def use(path):
    with refusals():
        load(path, registry=registry())
    assert main(["checkpoint", "inspect", str(path)]) in (0, 2)
    assert main(["checkpoint", "inspect", str(path), "--json"]) in (0, 2)


@examples(200)
@given(number=st.integers(0, len(KEPT) - 1), steps=bytes_of)
def test_mutated_bytes(place, number, steps):
    place.write_bytes(damaged(CONTENT[number], steps))
    use(place)


def tensors_apart(payload):
    """The payload with its tensors replaced by words, which a mutation may move about, and the tensors."""
    tensors = []

    def walk(value):
        if isinstance(value, torch.Tensor):
            tensors.append(value)
            return f"tensor {len(tensors) - 1}"
        if isinstance(value, dict):
            return {key: walk(child) for key, child in value.items()}
        return [walk(child) for child in value] if isinstance(value, list) else value

    return walk(payload), tensors


def tensors_back(value, tensors):
    if isinstance(value, str) and value.startswith("tensor "):
        return tensors[int(value.split()[1])] if value.split()[1:] and value.split()[1].isdecimal() else value
    if isinstance(value, dict):
        return {key: tensors_back(child, tensors) for key, child in value.items()}
    return [tensors_back(child, tensors) for child in value] if isinstance(value, list) else value


@cache
def payloads():
    return [tensors_apart(torch.load(io.BytesIO(content), weights_only=True)) for content in CONTENT]


@examples(300)
@given(number=st.integers(0, len(KEPT) - 1), steps=mutations, part=st.sampled_from(["", "visioncore", "groups", "run"]))
def test_mutated_content(place, number, steps, part):
    tree, tensors = payloads()[number]
    tree = copy.deepcopy(tree)
    if part == "":
        tree = mutate(tree, steps)
    elif part == "visioncore":
        tree[part] = mutate(tree[part], steps)
    else:
        tree["visioncore"][part] = mutate(tree["visioncore"][part], steps)
    torch.save(tensors_back(tree, tensors), place)
    use(place)


def test_the_files_are_good_before_they_are_mutated(place):
    for path, (tree, tensors) in zip(KEPT, payloads(), strict=True):
        torch.save(tensors_back(tree, tensors), place)
        assert not differences(read_checkpoint(place)["visioncore"], read_checkpoint(path)["visioncore"])
        assert main(["checkpoint", "inspect", str(place)]) == 0
