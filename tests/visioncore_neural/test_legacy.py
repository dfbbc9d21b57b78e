"""VisionCore's checkpoints: Python objects in them stay inert, and heads are sorted by the session that they are of."""

from __future__ import annotations

import argparse
import os
import pickle
import zipfile

import pytest
import torch

from visioncore_engine.errors import CheckpointError
from visioncore_neural.legacy.layout import weights_of
from visioncore_neural.legacy.reader import Placeholder, read_legacy


class Runs:
    """Runs a command when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


class Tricky(Runs):
    """Evaluates text, by a builtin."""

    def __reduce__(self):
        return eval, (f"open({str(self.path)!r}, 'w').close()",)


def multi(prefix="model.", num=2):
    weights = {"frontend.weight": torch.randn(4, 1, 16), "convnet.layers.0.module.weight": torch.randn(2, 2)}
    for place in range(num):
        weights[f"adapters.{place}.theta"] = torch.full((2,), float(place))
        weights[f"readouts.{place}.features.weight"] = torch.full((3 + place, 2), float(place))
    return {prefix + name: value for name, value in weights.items()}


@pytest.mark.parametrize("hostile", [Runs, Tricky])
@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_not_run(tmp_path, hostile, zipped):
    path, mark = tmp_path / "old.ckpt", tmp_path / "ran"
    payload = {"state_dict": multi(), "callbacks": hostile(mark)}
    torch.save(payload, path, _use_new_zipfile_serialization=zipped)
    read = read_legacy(path)
    assert not mark.exists()
    assert isinstance(read.payload["callbacks"], Placeholder)
    assert read.unknown[0].rpartition(".")[2] in ("system", "eval")
    for name, value in payload["state_dict"].items():
        assert torch.equal(read.payload["state_dict"][name], value)
    torch.load(path, weights_only=False)  # the file is as bad as it is meant to be
    assert mark.exists()


def test_unknown_objects_keep_what_the_file_says_of_them(tmp_path):
    path = tmp_path / "old.ckpt"
    torch.save({"args": argparse.Namespace(lr=1e-3), "dtype": torch.bfloat16, "size": torch.Size([2])}, path)
    read = read_legacy(path)
    assert read.unknown == ("argparse.Namespace",)
    assert read.payload["args"].state == {"lr": 1e-3}
    assert read.payload["dtype"] is torch.bfloat16
    assert read.payload["size"] == torch.Size([2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
def test_tensors_come_back_as_they_were(tmp_path, dtype):
    path = tmp_path / "old.ckpt"
    whole = torch.arange(12).reshape(3, 4).to(dtype)
    torch.save({"view": whole.T, "parameter": torch.nn.Parameter(torch.ones(2))}, path)
    read = read_legacy(path)
    assert torch.equal(read.payload["view"], whole.T)
    assert not read.unknown


def test_a_compiled_program_is_refused(tmp_path):
    path = tmp_path / "program.pt"
    with zipfile.ZipFile(path, "w") as archive:  # by this entry torch knows a program, and would run its loader
        archive.writestr("program/constants.pkl", b"")
    with pytest.raises(CheckpointError, match="compiled program"):
        read_legacy(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"nothing of that kind", pickle.dumps([1])[:-1]])
def test_a_damaged_file_is_told(tmp_path, content):
    path = tmp_path / "old.ckpt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_legacy(path)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        read_legacy(tmp_path / "nowhere")


@pytest.mark.parametrize("prefix", ["", "model.", "model._orig_mod.", "module.model.", "_orig_mod.module."])
def test_prefixes_go_and_names_inside_stay(prefix):
    old = weights_of({"state_dict": multi(prefix)}, ["north", "south"])
    assert set(old.shared) == {"frontend.weight", "convnet.layers.0.module.weight"}
    assert not old.unexpected


def test_a29_heads_go_to_the_sessions_in_the_order_that_is_given_beyond_ten():
    names = [f"s{number}" for number in range(12)]
    old = weights_of(multi(num=12), names)
    for place, name in enumerate(names):
        assert old.sessions[name]["readout.features.weight"].shape == (3 + place, 2)
        assert float(old.sessions[name]["adapter.theta"][0]) == place


@pytest.mark.parametrize("names", [[], ["one"], ["one", "two", "three"]])
def test_too_few_or_too_many_sessions_are_told(names):
    with pytest.raises(CheckpointError, match="name every session"):
        weights_of(multi(), names)


def test_a_model_of_one_dataset_and_a_frozen_core_are_sorted_too():
    single = {
        "model.readout.bias": torch.ones(3),
        "model.frontend.weight": torch.ones(1),
        "model.head.x": torch.ones(1),
    }
    old = weights_of(single, ["only"])
    assert set(old.sessions["only"]) == {"readout.bias"}
    assert old.unexpected == ("model.head.x",)
    core = weights_of({"convnet.weight": torch.ones(1), "recurrent.weight": torch.ones(1)}, [])
    assert set(core.shared) == {"convnet.weight", "recurrent.weight"}
    with pytest.raises(CheckpointError, match="no weights"):
        weights_of({"state_dict": {}}, [])
