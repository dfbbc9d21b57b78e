"""Defects that VisionCore's steps and samplers had with releases of torch and Lightning, each under its name."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from unreported import train

from visioncore_engine import discover, load, resolve
from visioncore_engine.build import build
from visioncore_engine.component import resolve_address
from visioncore_engine.config.run import TrainerOptions

RUN = {
    "seed": 3,
    "data": {"name": "synthetic_v1", "num_units": 3, "size": 12, "duration": 30.0, "trial": 3.0, "num_repeats": 2},
    "sampler": {"name": "shuffled", "batch_size": 150, "batches_per_epoch": 2},
    "model": {"name": "encoder", "core": [{"name": "conv3d", "channels": [2], "kernel_size": [2, 3, 3]}]},
    "loss": {"name": "poisson"},
    "metrics": ["bits_per_spike"],
    "optimizer": {"name": "adamw", "lr": 0.1, "clip": 1.0, "accumulate": 2},
}
PRECISIONS = get_args(TrainerOptions.model_fields["precision"].annotation)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_b1_every_precision_moves_the_weights(precision, tmp_path):
    """With mixed precision, an optimizer step that nobody was told of was left out, and the steps were counted."""
    trainer = {"max_epochs": 1, "accelerator": "cpu", "precision": precision}
    resolved = resolve({**RUN, "trainer": trainer, "run": {"dir": str(tmp_path / "run")}})
    train(resolved)
    trained = dict(load(tmp_path / "run" / "checkpoints" / "last.ckpt").model.named_parameters())
    start = dict(build(resolved).model.named_parameters())
    heads = [name for name in trained if name.endswith(("features", "bias"))]
    assert heads
    assert not [name for name in heads if torch.equal(trained[name], start[name].to(trained[name]))]


def test_b4_samplers_are_nobodys_subclass():
    """A base class whose constructor changes ends every run of those who inherit."""
    found = [entry for entry in discover().entries if entry.kind == "sampler"]
    assert found
    for entry in found:
        assert not issubclass(resolve_address(entry.component.build), torch.utils.data.Sampler), entry
