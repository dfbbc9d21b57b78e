"""Several processes train what one process trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import toy_plugin

from visioncore_engine import resolve, train
from visioncore_engine.checkpoint import read_checkpoint
from visioncore_engine.errors import RunError

RUN = """
seed: 5
data: {name: toy, num_groups: 3, masked: 0.3, poison: "nan"}
sampler: {name: toy_random, batch_size: 13, batches_per_epoch: 4}
model: toy_linear
loss: {name: toy_squared, weighting: samples}
metrics: [toy_error]
regularizers: {shrink: {name: toy_l2, strength: 0.01, match: "heads.*.weight"}}
optimizer: {name: toy_adamw, lr: 0.01, weight_decay: 0.1, clip: 0.1, accumulate: 2}
scheduler: toy_halving
callbacks: [toy_events]
loggers: []
trainer: {max_epochs: 2, precision: 64-true, accelerator: cpu}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(toy_plugin.__file__).parent))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    Path("run.yaml").write_text(RUN)

    def resolved(*sets):
        return resolve(["run.yaml"], sets=sets, plugin_files=[toy_plugin.__file__])

    return resolved


def weights(folder):
    return {
        name: value.numpy()
        for name, value in read_checkpoint(Path(folder) / "checkpoints/last.ckpt")["state_dict"].items()
    }


def distance(one, other):
    """Largest max|a - b| / max|b| over tensors."""
    assert one.keys() == other.keys()
    return max(np.abs(one[name] - other[name]).max() / max(np.abs(other[name]).max(), 1e-12) for name in one)


@pytest.mark.parametrize(
    ("size", "weighting"),
    [
        (2, "cells"),
        (4, "places"),
        pytest.param(2, "samples", marks=pytest.mark.slow),
        pytest.param(2, "owners", marks=pytest.mark.slow),
        pytest.param(4, "cells", marks=pytest.mark.slow),
    ],
)
def test_l3_world_size_changes_nothing(run, size, weighting):
    sets = (f"loss.weighting={weighting}",)
    alone = train(run(*sets, "run.dir=w1"), quiet=True)
    shared = train(run(*sets, "run.dir=many", f"trainer.devices={size}"), quiet=True)
    assert distance(weights("many"), weights("w1")) <= 1e-9
    assert shared.scores["val/toy_error"] == pytest.approx(alone.scores["val/toy_error"], rel=1e-9)
    ours, theirs = (
        read_checkpoint(Path(folder) / "checkpoints/last.ckpt")["visioncore"]["scores"] for folder in ("many", "w1")
    )
    assert ours["val/loss"] == pytest.approx(theirs["val/loss"], rel=1e-9)
    assert ours["val/toy_count"] == theirs["val/toy_count"]


@pytest.mark.slow
def test_l3_world_size_changes_no_loss_of_the_models_own(run):
    sets = ("model.auxiliary=0.5", "trainer.max_epochs=1")
    train(run(*sets, "run.dir=w1"), quiet=True)
    train(run(*sets, "run.dir=w2", "trainer.devices=2"), quiet=True)
    assert distance(weights("w2"), weights("w1")) <= 1e-9
    ours, theirs = (
        read_checkpoint(Path(folder) / "checkpoints/last.ckpt")["visioncore"]["scores"] for folder in ("w2", "w1")
    )
    for name in ("val/auxiliary/size", "val/loss"):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-9)


def test_b8_more_processes_than_windows_leave_empty_shares(run):
    """A process without anything to train on or to validate asks for the same collectives as the others."""
    sets = (
        "loader.evaluation_batch_size=1000000",
        "sampler.batch_size=1",
        "optimizer.accumulate=1",
        "sampler.batches_per_epoch=8",
    )
    train(run(*sets, "run.dir=w1"), quiet=True)
    train(run(*sets, "run.dir=w3", "trainer.devices=3"), quiet=True)
    assert distance(weights("w3"), weights("w1")) <= 1e-9


def test_one_process_fails_all_end_and_its_error_is_shown(run, capfd):
    with pytest.raises(RunError, match=r"process \d ended with exit code 70"):
        train(run("run.dir=bad", "trainer.devices=2", "callbacks.toy_events.fail_at=3"), quiet=True)
    assert "ValueError: the toy fails as asked" in capfd.readouterr().err


def test_a_nan_on_any_process_ends_all_before_a_weight_changes(run, capfd):
    sets = ("optimizer.name=toy_sgd", "optimizer.lr=1e30", "checkpoint.every_n_steps=1", "regularizers=null")
    with pytest.raises(RunError):
        train(run("run.dir=nan", "trainer.devices=2", *sets), quiet=True)
    assert "the loss is not finite" in capfd.readouterr().err
    assert all(np.isfinite(value).all() for value in weights("nan").values())
