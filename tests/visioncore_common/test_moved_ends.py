"""The end of a run that is moved: learning rates end with it, and checkpoints keep it."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch
import toy_plugin
import unruly_plugin
from engine_road import EngineRoad
from unruly_parts import rank

from visioncore_engine.checkpoint import read_checkpoint

RUN = """
seed: 5
data: {name: toy, num_groups: 2}
sampler: {name: toy_random, batch_size: 24, batches_per_epoch: 4}
model: {name: toy_linear, dropout: 0.2}
loss: unruly
regularizers:
  {shrink: {name: toy_l2, match: "heads.*.weight", strength: {schedule: ramp, stop: 2.0, steps: 1, clock: fraction}}}
optimizer: {name: toy_adamw, lr: 0.01}
scheduler: cosine
callbacks: [unruly]
loggers: [csv]
checkpoint: {every_n_steps: 1}
loader: {prefetch: 0}
trainer: {max_epochs: 10, precision: 64-true, accelerator: cpu, log_every_n_steps: 1}
"""


@pytest.fixture
def road(tmp_path):
    return EngineRoad(tmp_path, RUN, (toy_plugin.__file__, unruly_plugin.__file__))


def end_at(number):
    def move(trainer, module):
        if trainer.global_step == 8 and module.total_steps == 40:
            module.plan_end(number if rank() == 0 else number + 1)

    return move


def rates(folder):
    with (Path(folder) / "metrics.csv").open() as file:
        return {int(row["step"]): float(rate) for row in csv.DictReader(file) if (rate := row["rate/rest"])}


def test_learning_rates_and_fractions_pass_the_rest_of_their_course_in_the_steps_that_are_left(road, handlers):
    handlers["on_validation_end"] = end_at(14)
    told = road.home / "fractions"

    def tell(trainer, module):
        with told.open("a") as file:
            file.write(f"{module.clock().fraction}\n")

    handlers["on_train_batch_start"] = tell
    ended = road.train("run")
    assert ended.code == 0, ended
    assert road.step("run") == 14
    passed = [step if step <= 8 else 8 + (step - 8) * 32 / 6 for step in range(14)]
    expected = [0.01 * (1 + math.cos(math.pi * round(at) / 40)) / 2 for at in passed]
    found = rates(road.home / "run")
    assert [found[step + 1] for step in range(14)] == pytest.approx(expected)
    assert list(map(float, told.read_text().split())) == pytest.approx([at / 40 for at in passed])


@pytest.mark.parametrize("stop", [8, 13])
def test_l4_a_run_that_is_cut_and_resumed_keeps_the_end_that_was_agreed(road, handlers, stop):
    handlers["on_validation_end"] = end_at(14)
    assert road.train("whole").code == 0

    def cut(trainer, module):
        if trainer.global_step == stop:
            raise KeyboardInterrupt

    handlers["on_train_batch_start"] = cut
    assert road.train("cut").code != 0
    del handlers["on_train_batch_start"]
    if stop > 8:
        del handlers["on_validation_end"]  # nobody moves the end again
    ended = road.train("cut", resume=True)
    assert ended.code == 0, ended
    one, two = (read_checkpoint(road.home / folder / "checkpoints/last.ckpt") for folder in ("whole", "cut"))
    assert one["global_step"] == two["global_step"] == 14
    assert all(torch.equal(value, two["state_dict"][name]) for name, value in one["state_dict"].items())
    assert rates(road.home / "cut") == rates(road.home / "whole")
    again = road.train("cut", resume=True)
    assert again.code == 0, again
    assert "nothing to do" in again.err
    assert read_checkpoint(road.home / "cut/checkpoints/last.ckpt")["global_step"] == 14


def test_processes_that_plan_different_ends_end_at_the_next_step(road, handlers):
    handlers["on_validation_end"] = end_at(14)
    ended = road.train("run", processes=2)
    assert ended.code not in (0, 2), ended
    assert "the last step" in ended.err
