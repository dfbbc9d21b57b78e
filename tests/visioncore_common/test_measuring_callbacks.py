"""Callbacks that measure: time by an injected clock, gradients against torch, tables by their text."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
import toy_plugin
import unruly_plugin
from engine_road import EngineRoad
from pytorch_lightning.trainer.states import TrainerFn
from torch import nn
from unruly_parts import rank

from visioncore_common.callbacks.curriculum_log import CurriculumLog
from visioncore_common.callbacks.epoch_summary import EpochSummary
from visioncore_common.callbacks.gradient_norms import GradientNorms
from visioncore_common.callbacks.time_budget import TimeBudget
from visioncore_common.callbacks.timings import Timings
from visioncore_common.options.callback import (
    CurriculumLogOptions,
    EpochSummaryOptions,
    GradientNormsOptions,
    TimeBudgetOptions,
)
from visioncore_engine.contracts import CallbackFacts, Position
from visioncore_engine.errors import ConfigError
from visioncore_engine.options import Options

FACTS = CallbackFacts(Path(), "val/loss", "min", 200, 10)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Module(pl.LightningModule):
    """Keeps what is tracked."""

    def __init__(self, model=None):
        super().__init__()
        self.model, self.tracked = model, {}

    def recent_loss(self):
        return 0.5

    def track(self, name, value):
        self.tracked.setdefault(name, []).append(float(value))

    def skip_step(self):
        raise AssertionError("nothing is left out")

    roll_back = skip_step

    total_steps = 200

    def log_pictures(self, pictures, step):
        raise AssertionError("there are none")

    def plan_end(self, total_steps):
        self.total_steps = total_steps


def trainer_at(step=0, **more):
    state = SimpleNamespace(fn=TrainerFn.FITTING)
    return SimpleNamespace(
        **{"global_step": step, "is_global_zero": True, "sanity_checking": False, "state": state, "should_stop": False}
        | more
    )


def budget(minutes, state=None):
    clock = Clock()
    callback = TimeBudget(TimeBudgetOptions(minutes=minutes), FACTS, clock)
    if state is not None:
        callback.load_state_dict(state)
    callback.on_train_start(trainer_at(), None)
    return callback, clock


def steps_until_stop(callback, clock, *, seconds=10.0, validate_every=None, validation=0.0, most=100):
    for step in range(1, most):
        clock.now += seconds
        trainer = trainer_at(step)
        callback.on_train_batch_end(trainer, None, None, None, 0)
        if trainer.should_stop:
            return step
        if validate_every and step % validate_every == 0:
            callback.on_validation_start(trainer, None)
            clock.now += validation
            callback.on_validation_end(trainer, None)
    return None


def test_b2_steps_and_validations_count_and_neither_goes_over_the_budget(caplog):
    """Ten minutes: after n steps of 10 s and n // 10 validations of 60 s there must be time for one more of each."""
    caplog.set_level(logging.WARNING)
    callback, clock = budget(10.0)
    stopped = steps_until_stop(callback, clock, validate_every=10, validation=60.0)
    spent = stopped * 10 + (stopped - 1) // 10 * 60
    assert spent + 60 <= 600, "the last weights are still validated in time"
    assert spent + 10 + 10 + 60 > 600, "and hardly a step is given away"
    assert clock.now - 1000.0 == spent
    assert "time is up at step" in caplog.text
    assert steps_until_stop(*budget(10.0)) == 59


def test_b2_a_resumed_run_has_what_is_left():
    whole, clock = budget(10.0)
    steps_until_stop(whole, clock, most=31)
    kept = whole.state_dict()
    assert kept == {"seconds": 300.0}
    again, later = budget(10.0, kept)
    assert steps_until_stop(again, later) == 29
    later.now += 10.0
    again.on_train_end(trainer_at(), None)
    later.now += 1e6  # the report is no training
    assert again.state_dict() == {"seconds": 600.0}


def measured(minutes, *, seconds, validation, planned, processes=1):
    """Train by a clock, with a validation after each ten steps: the last step, the ends that were planned, minutes."""
    clock, module = Clock(), Module()
    module.total_steps, ends = planned, []
    facts = replace(FACTS, total_steps=planned)
    callback = TimeBudget(TimeBudgetOptions(minutes=minutes, shorten=True), facts, clock)
    callback.on_train_start(trainer_at(), module)
    slowest = SimpleNamespace(reduce=lambda value, reduce_op: value // processes)
    for step in range(1, planned + 1):
        clock.now += seconds(step)
        trainer = trainer_at(step, check_val_every_n_epoch=1, strategy=slowest)
        callback.on_train_batch_end(trainer, module, None, None, 0)
        if trainer.should_stop or step == module.total_steps:
            break
        if step % 10 == 0:
            callback.on_validation_start(trainer, module)
            clock.now += validation
            callback.on_validation_end(trainer, module)
            ends.append(module.total_steps)
    return step, ends, (clock.now - 1000.0) / 60


@pytest.mark.parametrize(("second", "validation"), [(1.0, 0.0), (1.0, 30.0), (0.1, 5.0), (7.0, 1.0)])
def test_a_run_that_is_to_end_with_its_budget_plans_the_steps_that_fit_and_makes_them_all(caplog, second, validation):
    """By hand: n steps and a validation per ten of them take n (second + validation / 10); the first step compiles."""
    caplog.set_level(logging.WARNING)
    fit = 60.0 * 20 / (second + validation / 10)
    made, ends, minutes = measured(
        20, seconds=lambda step: 60.0 if step == 1 else second, validation=validation, planned=100_000
    )
    assert made == ends[-1], "it ends where its schedules do, and is not cut off"
    assert 0.8 * fit < made < fit
    assert minutes <= 20
    assert "planned for" in caplog.text


def test_a_run_that_fits_is_left_as_planned_and_one_that_slows_down_is_planned_again(caplog):
    made, ends, _ = measured(20, seconds=lambda step: 1.0, validation=2.0, planned=300)
    assert (made, set(ends)) == (300, {300})
    assert "planned" not in caplog.text
    made, ends, minutes = measured(20, seconds=lambda step: 1.0 if step < 200 else 3.0, validation=2.0, planned=5000)
    assert ends[0] > 900
    assert made == ends[-1] < 700
    assert 18 < minutes <= 20


def test_the_fewest_steps_that_any_process_counts_are_the_end():
    _, alone, _ = measured(20, seconds=lambda step: 1.0, validation=2.0, planned=5000)
    _, ends, _ = measured(20, seconds=lambda step: 1.0, validation=2.0, planned=5000, processes=2)
    assert ends[0] == pytest.approx(alone[0] / 2, rel=0.02)


RUN = """
seed: 5
data: {name: toy, num_groups: 2}
sampler: {name: toy_random, batch_size: 24, batches_per_epoch: 6}
model: toy_linear
loss: unruly
optimizer: {name: toy_adamw, lr: 0.01}
callbacks: [unruly, {name: time_budget, minutes: 600}]
loggers: []
trainer: {max_epochs: 6, precision: 64-true, accelerator: cpu}
"""


def test_b2_time_that_is_up_on_one_process_ends_both_at_the_same_step_with_a_checkpoint(tmp_path, handlers):
    road = EngineRoad(tmp_path, RUN, (toy_plugin.__file__, unruly_plugin.__file__))

    def late(trainer, module):
        if trainer.global_step == 8 and rank() == 1:
            own = next(callback for callback in trainer.callbacks if isinstance(callback, TimeBudget))
            own.load_state_dict({"seconds": 36_000.0})

    handlers["on_train_batch_end"] = late
    ended = road.train("shared", processes=2)
    assert ended.code == 0, ended
    assert 8 < road.step("shared") <= 10  # of 36


def test_the_end_that_one_process_asks_for_is_planned_by_both(tmp_path, handlers):
    road = EngineRoad(tmp_path, RUN, (toy_plugin.__file__, unruly_plugin.__file__))

    def slow(trainer, module):
        if trainer.global_step == 3 and rank() == 1:
            next(callback for callback in trainer.callbacks if isinstance(callback, TimeBudget))._took = 1e9

    handlers["on_train_batch_end"] = slow
    ended = road.train("shared", "callbacks.time_budget.shorten=true", processes=2)
    assert ended.code == 0, ended
    assert road.step("shared") == 7  # the first after the first validation


def test_data_steps_and_validations_are_timed_apart():
    clock, module, trainer = Clock(), Module(), trainer_at()
    timings = Timings(Options(), FACTS, clock)
    timings.on_train_epoch_start(trainer, module)
    for _ in range(2):
        clock.now += 0.25
        timings.on_train_batch_start(trainer, module, None, 0)
        clock.now += 1.5
        timings.on_train_batch_end(trainer, module, None, None, 0)
        timings.on_validation_start(trainer, module)
        clock.now += 30.0
        timings.on_validation_end(trainer, module)
    assert module.tracked == {
        "seconds/data": [0.25, 0.25],
        "seconds/step": [1.5, 1.5],
        "seconds/validation": [30.0, 30.0],
    }


def test_norms_of_parts_before_and_after_clipping_are_torch_s():
    model = nn.ModuleDict({"core": nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), "readout": nn.Linear(2, 1)})
    module, trainer = Module(model), trainer_at(20)
    model["readout"](model["core"](torch.ones(5, 3))).sum().backward()
    model["readout"].bias.grad = None  # nothing touched it

    def norm(part):
        own = [value.grad.flatten() for value in part.parameters() if value.grad is not None]
        return torch.cat(own).norm().item()

    expected = {"core": norm(model["core"]), "readout": norm(model["readout"])}
    callback = GradientNorms(GradientNormsOptions(), FACTS)
    callback.on_before_optimizer_step(trainer, module, None)
    total = nn.utils.clip_grad_norm_(model.parameters(), 0.1).item()
    callback.on_train_batch_end(trainer, module, None, None, 0)
    for part, value in expected.items():
        assert module.tracked[f"gradient_norm/{part}"] == pytest.approx([value], rel=1e-5)
        assert module.tracked[f"gradient_norm/{part}/clipped"] == pytest.approx([value * 0.1 / total], rel=1e-4)
    callback.on_before_optimizer_step(trainer_at(21), module, None)
    callback.on_train_batch_end(trainer_at(21), module, None, None, 0)
    assert len(module.tracked["gradient_norm/core"]) == 1
    stages = Module(model)
    GradientNorms(GradientNormsOptions(depth=2), FACTS).on_before_optimizer_step(trainer, stages, None)
    assert set(stages.tracked) == {"gradient_norm/core.0", "gradient_norm/core.1", "gradient_norm/readout.weight"}


def test_a_summary_has_each_score_and_its_change(caplog):
    caplog.set_level(logging.INFO)
    callback = EpochSummary(EpochSummaryOptions(scores="val/*"), FACTS)
    for epoch, loss in enumerate((2.0, 1.5)):
        metrics = {"val/loss": torch.tensor(loss), "val/r": torch.tensor(0.25), "other": torch.tensor(9.0)}
        callback.on_validation_end(trainer_at(epoch * 10, current_epoch=epoch, callback_metrics=metrics), None)
    rows = [line.split() for line in caplog.records[1].getMessage().splitlines()]
    assert rows == [["epoch", "1,", "step", "10"], ["val/loss", "1.5", "-0.5", "(monitored)"], ["val/r", "0.25", "+0"]]
    assert callback.state_dict() == {"val/loss": 1.5, "val/r": 0.25}


# ---------------------------------------------------------------------------------------------------------------
# curriculum_log


class Climbing:
    """A sampler whose curriculum is the number of the step."""

    def curriculum(self, position):
        return {"height": float(position.global_step)}


def test_a_curriculum_is_asked_for_now_and_then():
    callback = CurriculumLog(CurriculumLogOptions(every=2), replace(FACTS, sampler=Climbing()))
    module = Module()
    for step in range(5):
        batch = SimpleNamespace(position=Position(0, step, step))
        callback.on_train_batch_start(SimpleNamespace(global_step=step), module, batch, step)
    assert module.tracked == {"curriculum/height": [0.0, 2.0, 4.0]}


@pytest.mark.parametrize("sampler", [None, object()])
def test_a_sampler_without_a_curriculum_is_refused(sampler):
    with pytest.raises(ConfigError, match="no curriculum"):
        CurriculumLog(CurriculumLogOptions(), replace(FACTS, sampler=sampler))
