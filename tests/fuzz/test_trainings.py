"""Mutated run files that are trained: two steps with what was understood, or a mistake of the user; nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import toy_plugin
import yaml
from fuzzing import examples, mutate, mutations
from hypothesis import assume, given

from visioncore_engine.cli import main

RUN = yaml.safe_load("""
seed: 5
data: {name: toy, num_groups: 2, num_items: 20}
sampler: {name: toy_random, batch_size: 8, batches_per_epoch: 2}
model: {name: toy_linear, dropout: 0.2}
loss: {name: toy_squared, weighting: places}
metrics: [toy_error]
regularizers: {shrink: {name: toy_l2, strength: {schedule: ramp, stop: 0.01, steps: 8}, match: "heads.*.weight"}}
optimizer: {name: toy_adamw, lr: 0.01, weight_decay: 0.01, clip: 0.5, groups: {core: {match: "shared.*"}}}
scheduler: toy_halving
callbacks: [toy_events]
loggers: [csv, jsonl]
checkpoint: {monitor: val/toy_error, every_n_steps: 1, keep: 2}
loader: {prefetch: 0, validation_fraction: 0.5}
policies: {non_finite: skip}
trainer: {max_epochs: 1, log_every_n_steps: 1}
""")
# How long a run is and where it runs is not mutated: an example is over in half a second.
BOUNDS = ("run.dir=out", "sampler.batches_per_epoch=2", "trainer.max_epochs=1", "trainer.max_steps=2")
PLACE = ("trainer.accelerator=cpu", "trainer.devices=1", "launch=null")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A working folder for all examples: the run in it is overwritten."""
    folder, before = tmp_path_factory.mktemp("fuzz"), Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def small(value):
    """No size that would only try the machine's memory."""
    if isinstance(value, (dict, list)):
        return all(map(small, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, (int, float)) or not abs(value) > 500


@pytest.mark.filterwarnings("default")  # what Lightning warns of is for the user to read
@examples(40)
@given(steps=mutations)
def test_mutated_runs(home, capfd, steps):
    tree = mutate(RUN, steps)
    assume(small(tree))
    (home / "run.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    shutil.rmtree(home / "out", ignore_errors=True)
    sets = [word for item in (*BOUNDS, *PLACE) for word in ("--set", item)]
    code = main(["train", "run.yaml", "--quiet", "--plugin", toy_plugin.__file__, *sets])
    told = capfd.readouterr().err
    assert code in (0, 2), told
    assert "Traceback" not in told
    assert (code == 2) == ("error: " in told)
    # What was not understood was never trained.
    assert (home / "out" / "checkpoints" / "last.ckpt").exists() == (code == 0)
