from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn

from visioncore_common.callbacks.heartbeat import Heartbeat
from visioncore_common.options.callback import HeartbeatOptions
from visioncore_engine.contracts import Batch, CallbackFacts, Group

FACTS = CallbackFacts(Path(), "val/loss", "min", 200, 10)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Module(pl.LightningModule):
    def recent_loss(self):
        return 0.5


def window_batch(num_items, length):
    mask = torch.ones(num_items, length, 3, dtype=torch.bool)
    return Batch([Group("m1", 0, torch.zeros(num_items), {}, mask, torch.arange(num_items))])


def trainer_at(step, **scores):
    return SimpleNamespace(
        global_step=step,
        callback_metrics={name.replace("__", "/"): torch.tensor(value) for name, value in scores.items()},
        is_global_zero=True,
        sanity_checking=False,
        state=SimpleNamespace(fn=TrainerFn.FITTING),
    )


@pytest.fixture
def heart():
    def make(**options):
        clock = Clock()
        return Heartbeat(HeartbeatOptions(**options), FACTS, clock), clock

    return make


def train(heartbeat, clock, steps, batch, seconds=0.1):
    for step in steps:
        clock.now += seconds
        heartbeat.on_train_batch_end(trainer_at(step, val__loss=0.25), Module(), None, batch, 0)


def test_a_line_every_n_steps_with_step_loss_rate_and_score(heart, capsys):
    heartbeat, clock = heart(every=2, epochs=False)
    heartbeat.on_train_epoch_start(trainer_at(0), Module())
    train(heartbeat, clock, [1, 2, 3, 4], window_batch(5, 8))
    line = "400 predictions/s  val/loss 0.2500"  # 2 batches of 5 windows of 8 frames in 0.2 s
    assert capsys.readouterr().out == f"step 2/200  loss 0.5000  {line}\nstep 4/200  loss 0.5000  {line}\n"


def test_a_line_after_each_validation_and_validation_time_is_not_training_time(heart, capsys):
    heartbeat, clock = heart()
    train(heartbeat, clock, [1], window_batch(10, 1))
    clock.now += 100.0
    heartbeat.on_validation_end(trainer_at(1), Module())
    train(heartbeat, clock, [2], window_batch(10, 1))
    heartbeat.on_validation_end(trainer_at(2), Module())
    assert capsys.readouterr().out.count("100 predictions/s") == 2


def test_a_plan_step_counts_all_its_micro_batches_and_examples_count_once(heart, capsys):
    heartbeat, clock = heart(every=1, epochs=False)
    examples = Batch([Group("a", 0, torch.zeros(6), {}, torch.ones(6, dtype=torch.bool), torch.arange(6))])
    train(heartbeat, clock, [1], SimpleNamespace(micros=[examples, window_batch(2, 2)]))
    assert "100 predictions/s" in capsys.readouterr().out


@pytest.mark.parametrize(("stream", "where"), [("stdout", "out"), ("stderr", "err"), ("log", "log")])
def test_lines_go_where_the_run_file_says(stream, where, heart, capsys, caplog):
    caplog.set_level(logging.INFO)
    heartbeat, clock = heart(every=1, stream=stream)
    train(heartbeat, clock, [1], window_batch(1, 1))
    written = {**capsys.readouterr()._asdict(), "log": caplog.text}
    assert [name for name, text in written.items() if "step 1/200" in text] == [where]


def test_nothing_is_written_during_sanity_checks_by_other_processes_or_in_plain_validation(heart, capsys):
    for change in (
        {"sanity_checking": True},
        {"is_global_zero": False},
        {"state": SimpleNamespace(fn=TrainerFn.VALIDATING)},
    ):
        trainer = trainer_at(1)
        vars(trainer).update(change)
        heart()[0].on_validation_end(trainer, Module())
    assert capsys.readouterr().out == ""


def test_a_heartbeat_that_would_never_beat_is_refused():
    with pytest.raises(ValueError, match="nothing would be written"):
        HeartbeatOptions(epochs=False)


def test_t11_lightning_would_overwrite_an_attribute_named_log(heart):
    assert not {"log", "log_dict"} & set(vars(heart()[0]))
