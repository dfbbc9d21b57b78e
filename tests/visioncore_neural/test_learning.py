"""What is learned how fast, with the names that an encoder's parameters really have."""

from __future__ import annotations

import json

import pytest
import torch
from neural_models import encoder, recording

from visioncore_engine.contracts import Clock, OptimizerFacts
from visioncore_engine.options import OptimizerOptions
from visioncore_engine.parameters import group_parameters
from visioncore_engine.regularization import ActiveRegularizer, Regularization


@pytest.fixture
def model():
    return encoder([recording("m1_a"), recording("m1_b")])


def groups_of(model, **written):
    return group_parameters(model, OptimizerOptions.model_validate_json(json.dumps({"lr": 0.1, **written})))


def step_with(model, groups, gradient):
    optimizer = torch.optim.AdamW(OptimizerFacts(groups, fused=False).torch_groups(), lr=0.1)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    for value in model.parameters():
        value.grad = torch.full_like(value, gradient)
    optimizer.step()
    return {name: (value.detach() - before[name]) for name, value in model.named_parameters()}


def test_a2_the_scale_of_the_core_s_rate_scales_how_far_it_moves(model):
    moved = step_with(model, groups_of(model, groups={"core": {"match": "core.*", "lr_scale": 0.5}}), 1.0)
    rates = {name: step.abs().max().item() for name, step in moved.items()}
    assert {name for name, rate in rates.items() if rate == pytest.approx(0.05, rel=1e-6)} == {
        name for name in rates if name.startswith("core.")
    }
    assert {name for name, rate in rates.items() if rate == pytest.approx(0.1, rel=1e-6)} == {
        name for name in rates if not name.startswith("core.")
    }
    assert any(name.startswith("core.") for name in rates)


def test_a3_exclusion_by_an_encoder_s_own_names_really_excludes(model):
    chosen = [name for name, _ in model.named_parameters() if name.startswith("readouts.m1_a")]
    assert chosen
    moved = step_with(model, groups_of(model, weight_decay=0.5, no_decay=["readouts.m1_a.*"]), 0.0)
    decayed = {name for name, step in moved.items() if step.any()}
    assert not decayed & set(chosen)
    assert decayed >= {"core.0.layers.0.weight"} | {
        name.replace("m1_a", "m1_b") for name in chosen if dict(model.named_parameters())[name].ndim > 1
    }


class Counting:
    def __init__(self):
        self.calls = []

    def penalty(self, parameters):
        return None

    def proximal(self, parameters, strength, rates):
        self.calls.append(dict(rates))


def test_a4_a_proximal_step_is_taken_once_with_each_parameter_s_own_rate(model):
    """There are four groups and more, with and without decay; there is one step."""
    groups = groups_of(model, weight_decay=0.1, groups={"core": {"match": "core.*", "lr_scale": 0.5}})
    assert len(groups) >= 4
    rates = {name: group.lr for group in groups for name in group.parameters}
    for value in model.parameters():
        value.grad = torch.zeros_like(value)
    counting = Counting()
    active = ActiveRegularizer("counting", counting, dict(model.named_parameters()), 1.0)
    Regularization([active]).proximal_steps(Clock(0, 0.0, 0.0), rates)
    assert counting.calls == [rates]
