"""What a transform does to the data of a validation, it does to those of an evaluation too."""

from __future__ import annotations

import pytest
import toy_plugin

from visioncore_engine import evaluate, resolve, train
from visioncore_engine.checkpoint import read_checkpoint

RUN = """
data: {name: toy, num_groups: 2}
sampler: {name: toy_random, batch_size: 24, batches_per_epoch: 2}
transforms: [tenfold]
model: toy_linear
loss: toy_squared
metrics: [toy_error]
optimizer: {name: toy_adamw, lr: 0.01}
loggers: [toy_memory]
checkpoint: {monitor: val/toy_error}
trainer: {max_epochs: 1}
run: {dir: run}
"""
PLUGIN = """
import dataclasses

from visioncore_engine import Component, hookimpl
from visioncore_engine.contracts import Batch


class Tenfold:
    training_only = False

    def __init__(self, options, facts):
        pass

    def __call__(self, batch, key):
        return Batch([dataclasses.replace(group, inputs=10 * group.inputs) for group in batch.groups])


@hookimpl
def visioncore_transforms():
    yield Component(name="tenfold", summary="inputs times ten", build=f"{__name__}:Tenfold")
"""


def test_a_transform_that_is_not_for_training_only_is_part_of_every_score(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(RUN)
    (tmp_path / "tenfold_plugin.py").write_text(PLUGIN)
    resolved = resolve(["run.yaml"], plugin_files=[toy_plugin.__file__, "tenfold_plugin.py"])
    train(resolved, quiet=True)
    validated = read_checkpoint("run/checkpoints/last.ckpt")["visioncore"]["scores"]["val/toy_error"]
    scored = evaluate("run", resolved=resolved, checkpoint="last")["validation"]["toy_error"].scalars["toy_error"]
    assert scored == pytest.approx(validated, rel=1e-6)
    monkeypatch.setattr("visioncore_engine.evaluation.build_transforms", lambda *_: ())
    plain = evaluate("run", resolved=resolved, checkpoint="last")["validation"]["toy_error"].scalars["toy_error"]
    assert plain != pytest.approx(validated, rel=1e-2)
