"""The end of a run that is moved: its course never jumps, ends where the run does, and is kept by checkpoints."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch
import toy_plugin
import unruly_plugin
from engine_road import EngineRoad
from hypothesis import given
from hypothesis import strategies as st
from unruly_parts import HANDLERS, rank

from visioncore_engine.checkpoint import read_checkpoint
from visioncore_engine.pace import Pace


@given(st.integers(1, 10**7), st.data())
def test_where_the_end_was_not_moved_the_course_is_the_step_itself(total, data):
    step = data.draw(st.integers(0, total))
    assert Pace.planned(total).at(step) == step


@given(st.integers(2, 10**5), st.data())
def test_however_the_end_is_moved_the_course_has_no_jump_and_all_of_it_is_passed(total, data):
    pace, step, before = Pace.planned(total), 0, 0.0
    for _ in range(data.draw(st.integers(1, 4))):
        step = data.draw(st.integers(step, pace.end - 1))
        passed = pace.at(step)
        assert passed >= before - 1e-6
        pace = pace.ending(data.draw(st.integers(step + 1, total)), step)
        assert pace.at(step) == pytest.approx(passed, abs=1e-6)
        assert pace.at(pace.end) == pytest.approx(total)
        assert Pace.restored(pace.state(), total) == pace
        before = passed


@pytest.mark.parametrize("end", [0, 5, 101])
def test_an_end_in_the_past_or_beyond_the_plan_is_refused(end):
    with pytest.raises(ValueError, match=f"cannot end at step {end} when 5 are made"):
        Pace.planned(100).ending(end, 5)


def test_a_run_that_is_planned_for_another_length_now_starts_over_with_that():
    assert Pace.restored(Pace(100, 50, 10, 10.0).state(), 200) == Pace.planned(200) == Pace.restored(None, 200)


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
def handlers():
    HANDLERS.clear()
    yield HANDLERS
    HANDLERS.clear()


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
