from __future__ import annotations

import pytest
import torch
from torch import nn

from visioncore_common.optimizers import adamw, sgd
from visioncore_common.options.optimizer import AdamWOptions, SGDOptions
from visioncore_engine.contracts import OptimizerFacts, ParameterGroup

WEIGHT = [1.0, -2.0, 0.5]
GRADIENTS = [[0.1, 0.2, -0.3], [0.4, -0.1, 0.0], [-0.2, 0.3, 0.1]]


def train(build, options, *, fused, decay=0.1, lr=0.01):
    weight, idle = nn.Parameter(torch.tensor(WEIGHT)), nn.Parameter(torch.ones(2))
    groups = (ParameterGroup("core", {"w": weight}, lr, decay), ParameterGroup("rest", {"i": idle}, lr / 2, decay))
    optimizer = build(options, OptimizerFacts(groups, fused))
    for gradient in GRADIENTS:
        weight.grad = torch.tensor(gradient)
        optimizer.step()
    return weight.detach().double().numpy(), idle.detach(), optimizer


@pytest.mark.parametrize("fused", [False, True])
def test_adamw_is_the_published_recurrence(fused):
    options = AdamWOptions(betas=(0.8, 0.95), eps=1e-6)
    weight, idle, optimizer = train(adamw, options, fused=fused)
    expected, first, second = torch.tensor(WEIGHT).double(), 0.0, 0.0
    for step, gradient in enumerate(torch.tensor(GRADIENTS).double(), start=1):
        first = 0.8 * first + 0.2 * gradient
        second = 0.95 * second + 0.05 * gradient**2
        expected = expected * (1 - 0.01 * 0.1)
        expected = expected - 0.01 * (first / (1 - 0.8**step)) / ((second / (1 - 0.95**step)).sqrt() + 1e-6)
    assert weight == pytest.approx(expected.numpy(), abs=1e-6)
    assert torch.equal(idle, torch.ones(2)), "a parameter without a gradient moves neither by decay nor by momentum"
    assert [(group["name"], group["lr"]) for group in optimizer.param_groups] == [("core", 0.01), ("rest", 0.005)]


@pytest.mark.parametrize("fused", [False, True])
def test_sgd_is_the_published_recurrence(fused):
    weight, idle, _ = train(sgd, SGDOptions(momentum=0.5, nesterov=True), fused=fused, decay=0.0)
    expected, velocity = torch.tensor(WEIGHT).double(), 0.0
    for gradient in torch.tensor(GRADIENTS).double():
        velocity = 0.5 * velocity + gradient
        expected = expected - 0.01 * (gradient + 0.5 * velocity)
    assert weight == pytest.approx(expected.numpy(), abs=1e-6)
    assert torch.equal(idle, torch.ones(2))


def test_fused_is_taken_where_the_facts_have_it():
    for build, options in ((adamw, AdamWOptions()), (sgd, SGDOptions())):
        assert train(build, options, fused=True)[2].defaults["fused"] is True
        assert not train(build, options, fused=False)[2].defaults["fused"]


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(ValueError, match="set `momentum` > 0"):
        SGDOptions(momentum=0.0, nesterov=True)
