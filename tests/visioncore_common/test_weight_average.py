"""An average of the weights: its closed form, what it leaves alone, and who takes it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import toy_plugin
import unruly_plugin
from engine_road import EngineRoad, differences
from hypothesis import given
from hypothesis import strategies as st
from pytorch_lightning.trainer.states import TrainerFn
from torch import nn

from visioncore_common.callbacks.weight_average import WeightAverage
from visioncore_common.options.callback import WeightAverageOptions
from visioncore_engine import evaluate, load
from visioncore_engine.checkpoint import offered_weights
from visioncore_engine.contracts import CallbackFacts
from visioncore_engine.testing import TinyRun
from visioncore_engine.testing.toys import giving

FACTS = CallbackFacts(Path(), "val/loss", "min", 200, 10)
TRAINER = SimpleNamespace(state=SimpleNamespace(fn=TrainerFn.FITTING))
DECAY = {"name": "weight_average", "decay": 0.8}
TYPES = st.sampled_from([torch.float64, torch.float32, torch.bfloat16])


class Module(pl.LightningModule):
    """A weight that is trained, one that is frozen, and running statistics."""

    def __init__(self, dtype):
        super().__init__()
        self.weight = nn.Parameter(torch.full((2,), 9.0, dtype=dtype))
        self.frozen = nn.Parameter(torch.ones(2), requires_grad=False)
        self.register_buffer("statistics", torch.zeros(2))

    def step_to(self, value):
        with torch.no_grad():
            self.weight.fill_(value)
            self.statistics.fill_(value)


def callback_of(decay, facts=FACTS):
    return WeightAverage(WeightAverageOptions(decay=decay), facts)


def feed(callback, module, values):
    for value in values:
        module.step_to(value)
        callback.on_train_batch_end(TRAINER, module, None, None, 0)


@given(st.lists(st.floats(-4, 4, width=16), min_size=1, max_size=30), st.floats(0.01, 0.999), TYPES)
def test_it_is_the_sum_of_all_weights_by_their_age_and_only_validation_sees_it(values, decay, dtype):
    callback, module = callback_of(decay), Module(dtype)
    feed(callback, module, values)
    seen = [float(torch.tensor(value, dtype=dtype)) for value in values]
    ages = float(decay) ** np.arange(len(values))[::-1]
    expected = (ages * seen).sum() / ages.sum()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with torch.inference_mode():  # as Lightning does
        callback.on_validation_start(TRAINER, module)
        np.testing.assert_allclose(module.weight.double(), expected, rtol=0, atol=0.02 if dtype.itemsize == 2 else 1e-5)
        assert torch.equal(module.frozen, before["frozen"])
        assert torch.equal(module.statistics, before["statistics"])
    callback.on_exception(TRAINER, module, ValueError())  # in the middle of it
    assert not differences(module.state_dict(), before)
    average = callback.state_dict()["average"]
    assert list(average) == ["weight"]
    np.testing.assert_allclose(
        average["weight"].double(), expected, rtol=0, atol=1e-12 if dtype.itemsize == 8 else 1e-5
    )


def test_a_small_share_is_not_lost_in_half_precision():
    callback, module = callback_of(0.999), Module(torch.bfloat16)
    feed(callback, module, [1.0] * 2000 + [1.5] * 700)  # a thousandth of a half is less than bfloat16 tells from 1
    assert callback.state_dict()["average"]["weight"].double().numpy() == pytest.approx(1.28, abs=0.02)


def test_an_evaluation_that_is_no_part_of_training_sees_the_weights_as_they_are():
    callback, module = callback_of(0.5), Module(torch.float32)
    feed(callback, module, [1.0, 2.0])
    callback.on_validation_start(SimpleNamespace(state=SimpleNamespace(fn=TrainerFn.VALIDATING)), module)
    assert module.weight.tolist() == [2.0, 2.0]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run with the average and one without."""
    run = TinyRun(tmp_path_factory.mktemp("average"), {"callbacks": [DECAY]})
    run.train("with")
    TinyRun(run.folder).train("without")
    return run


def test_training_is_the_same_to_the_last_bit(run):
    one, other = run.checkpoint("with"), run.checkpoint("without")
    assert not differences(one["state_dict"], other["state_dict"])
    assert not differences(one["optimizer_states"][0]["state"], other["optimizer_states"][0]["state"])
    assert other["visioncore"]["offered"] == {}


def test_the_scores_of_a_validation_are_those_of_the_weights_that_its_checkpoint_offers(run):
    for which in ("best", "last"):
        saved = run.checkpoint("with", which)
        found = evaluate(run.folder / "with", checkpoint=which, resolved=run.resolve("with"))["validation"]
        scores = {f"val/{name}": value for result in found.values() for name, value in result.scalars.items()}
        assert scores["val/tiny"] == pytest.approx(saved["visioncore"]["scores"]["val/tiny"], rel=1e-12)
        assert scores["val/tiny"] != run.checkpoint("without", which)["visioncore"]["scores"]["val/tiny"]


def test_a_model_that_is_loaded_has_the_average_of_all_checkpoints_before(run, tmp_path):
    """Every step is saved, so that another training gives the weights behind each."""
    seen = []

    class Keeper(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            seen.append({name: value.detach().clone() for name, value in pl_module.model.named_parameters()})

    with giving(Keeper()):
        TinyRun(tmp_path, {"callbacks": [{"name": "visioncore_testing:tiny_given"}]}).train()
    model = load(run.folder / "with/checkpoints/last.ckpt", registry=run.resolve("with").registry).model
    ages = 0.8 ** np.arange(len(seen))[::-1]
    for name, value in model.named_parameters():
        expected = (
            sum(age * weights[name].double().numpy() for age, weights in zip(ages, seen, strict=True)) / ages.sum()
        )
        np.testing.assert_allclose(value.double().numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("at", [1, 4, 7])
def test_l4_a_resume_has_the_same_average_to_the_last_bit(run, at):
    run.train_with_a_break(f"cut at {at}", at=at)
    whole, broken = run.checkpoint("with"), run.checkpoint(f"cut at {at}")
    for place in (("visioncore", "offered"), ("callbacks", "WeightAverage", "average"), ("state_dict",)):
        one, other = whole, broken
        for key in place:
            one, other = one[key], other[key]
        assert one, place
        assert not differences(one, other)
    assert broken["callbacks"]["WeightAverage"]["num_steps"] == 12


RUN = """
seed: 5
data: {name: toy, num_groups: 2}
sampler: {name: toy_random, batch_size: 24, batches_per_epoch: 4}
model: toy_linear
loss: unruly
optimizer: {name: toy_adamw, lr: 0.01}
callbacks: [unruly, {name: weight_average, decay: 0.8}]
loggers: []
trainer: {max_epochs: 3, precision: 64-true, accelerator: cpu}
"""


def test_going_back_is_to_the_weights_that_are_trained_and_two_processes_hold_one_average(tmp_path, handlers):
    road = EngineRoad(tmp_path, RUN, (toy_plugin.__file__, unruly_plugin.__file__))

    def ask(trainer, module):
        if trainer.global_step == 6:
            assert module.roll_back()

    def end(trainer, module):
        if trainer.global_step == 7:
            saved = road.newest("alone")
            assert saved["global_step"] == 4
            assert differences(dict(saved["state_dict"]), dict(saved["visioncore"]["offered"]))
            assert not differences(dict(module.state_dict()), dict(saved["state_dict"]))

    handlers |= {"on_before_optimizer_step": ask, "on_train_batch_end": end}
    ended = road.train("alone")
    assert ended.code == 0, ended
    del handlers["on_train_batch_end"]
    ended = road.train("shared", processes=2)
    assert ended.code == 0, ended
    one, two = (offered_weights(road.newest(folder)) for folder in ("alone", "shared"))
    for name, value in one.items():
        np.testing.assert_allclose(two[name].numpy(), value.numpy(), rtol=1e-9, atol=1e-12)
