from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from visioncore_common.options.regularizer import GroupLassoOptions
from visioncore_common.regularizers.lasso import GroupLasso
from visioncore_common.regularizers.norms import L1, L2
from visioncore_common.regularizers.proximal import ProximalL1
from visioncore_engine.contracts import RegularizerFacts
from visioncore_engine.errors import ConfigError
from visioncore_engine.options import RegularizerOptions
from visioncore_engine.schedule import Clock, Schedule, value_at

PLAIN = RegularizerOptions(strength=1.0, match=("*",))


def parameters(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"matrix": (3, 4), "kernel": (2, 3, 5, 5), "other": (4, 2), "twin": (3, 4)}
    return {name: nn.Parameter(torch.randn(shape, generator=generator).double()) for name, shape in shapes.items()}


def lasso(groups, values, **more):
    options = GroupLassoOptions(strength=1.0, match=("*",), groups=groups, **more)
    return GroupLasso(options, RegularizerFacts(values))


def penalties(values):
    facts = RegularizerFacts(values)
    yield "l1", L1(PLAIN, facts)
    yield "l2", L2(PLAIN, facts)
    for groups in ("unit", "channel", "tensor"):
        for scaled in (False, True):
            yield f"group_lasso {groups} {scaled}", lasso(groups, values, size_scaled=scaled)


NAMES = [name for name, _ in penalties(parameters())]


def reference(name, values):
    if name == "l1":
        return sum(np.abs(value).sum() for value in values)
    if name == "l2":
        return sum((value**2).sum() for value in values)
    _, groups, scaled = name.split()
    total = 0.0
    for value in values:
        slices = {"unit": list(value), "channel": list(value.swapaxes(0, 1)), "tensor": [value]}[groups]
        total += sum(np.sqrt((part**2).sum()) * (np.sqrt(part.size) if scaled == "True" else 1) for part in slices)
    return total


@pytest.mark.parametrize("name", NAMES)
def test_penalties_are_their_formula_in_numpy(name):
    values = parameters()
    penalty = dict(penalties(values))[name].penalty(values)
    assert penalty.shape == ()
    assert penalty.item() == pytest.approx(reference(name, [value.detach().numpy() for value in values.values()]))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_finite_differences(name):
    values = parameters()
    penalty = dict(penalties(values))[name]
    torch.autograd.gradcheck(
        lambda *given: penalty.penalty(dict(zip(values, given, strict=True))), list(values.values()), fast_mode=True
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tiny", [False, True])
def test_gradients_in_closed_form_are_those_of_the_penalty(name, tiny):
    values = {key: nn.Parameter(value.float() if tiny else value) for key, value in parameters().items()}
    with torch.no_grad():
        values["matrix"].zero_()
        values["kernel"][0].zero_()
        values["kernel"][:, 1].zero_()
        values["other"][:2] *= 1e-39 if tiny else 1.0  # below the smallest normal number
    penalty = dict(penalties(values))[name]
    expected = torch.autograd.grad(penalty.penalty(values), list(values.values()))
    start = torch.Generator().manual_seed(1)
    before = {key: torch.randn(value.shape, generator=start).to(value) for key, value in values.items()}
    after = {key: value.clone() for key, value in before.items()}
    with torch.no_grad():
        penalty.add_gradients(values, after, 0.5)
    for key, gradient in zip(values, expected, strict=True):
        assert after[key].isfinite().all()
        if not tiny:
            torch.testing.assert_close(after[key], before[key] + 0.5 * gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_at_zero_is_zero_and_never_nan(name):
    values = parameters()
    penalty = dict(penalties(values))[name]
    with torch.no_grad():
        values["matrix"].zero_()
        values["kernel"][0].zero_()
        values["kernel"][:, 1].zero_()
    gradients = dict(zip(values, torch.autograd.grad(penalty.penalty(values), list(values.values())), strict=True))
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    assert torch.all(gradients["matrix"] == 0)
    assert torch.all(gradients["kernel"][0] == 0)
    assert torch.any(gradients["other"] != 0)


@pytest.mark.parametrize("name", NAMES)
def test_peers_12_each_parameter_counts_once(name):
    """NDNT evaluated every penalty twice; ours adds up over parameters, however they are split."""
    values = parameters()
    penalty = dict(penalties(values))[name]
    parts = [penalty.penalty({key: value}) for key, value in values.items()]
    assert penalty.penalty(values).item() == pytest.approx(sum(parts).item())


@given(scale=st.floats(-3, 3), seed=st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_norms_scale_with_the_weights(scale, seed):
    values = parameters(seed)
    scaled = {name: value * scale for name, value in values.items()}
    for name, penalty in penalties(values):
        degree = 2 if name == "l2" else 1
        expected = penalty.penalty(values).item() * abs(scale) ** degree
        assert penalty.penalty(scaled).item() == pytest.approx(expected)


@pytest.mark.parametrize(("groups", "shape"), [("channel", (3,)), ("unit", ())])
def test_a_parameter_without_the_axis_is_named(groups, shape):
    with pytest.raises(ConfigError, match=r"too few in core\.bias"):
        lasso(groups, {"core.bias": nn.Parameter(torch.zeros(shape))})


def test_a_vector_has_a_group_per_entry_or_is_one():
    bias = {"bias": nn.Parameter(torch.tensor([3.0, -4.0]))}
    assert lasso("unit", bias).penalty(bias).item() == 7.0
    assert lasso("tensor", bias).penalty(bias).item() == 5.0


def test_only_proximal_l1_has_a_proximal_step_and_only_that():
    values = parameters()
    before = {name: value.detach().clone() for name, value in values.items()}
    rates = dict.fromkeys(values, 0.1)
    for _, penalty in penalties(values):
        penalty.proximal(values, 1.0, rates)
    assert all(torch.equal(values[name], before[name]) for name in values)
    assert ProximalL1(PLAIN, RegularizerFacts(values)).penalty(values) is None


def test_proximal_l1_minimises_what_a_proximal_step_must():
    """x = argmin |x - w|² / 2 + strength · rate · |x|, found by brute force on a grid."""
    weights = torch.linspace(-1, 1, 41, dtype=torch.float64)
    parameter = nn.Parameter(weights.clone())
    ProximalL1(PLAIN, RegularizerFacts({"w": parameter})).proximal({"w": parameter}, 3.0, {"w": 0.1})
    grid = np.linspace(-1, 1, 4001)
    cost = (grid[:, None] - weights.numpy()) ** 2 / 2 + 0.3 * np.abs(grid)[:, None]
    assert parameter.detach().numpy() == pytest.approx(grid[cost.argmin(axis=0)], abs=1e-3)
    assert int((parameter == 0).sum()) == 13, "exact zeros, not small numbers"


def test_proximal_l1_uses_each_parameters_own_rate():
    values = {name: nn.Parameter(torch.ones(2)) for name in ("fast", "slow")}
    ProximalL1(PLAIN, RegularizerFacts(values)).proximal(values, 1.0, {"fast": 0.5, "slow": 0.1})
    assert values["fast"].tolist() == [0.5, 0.5]
    assert values["slow"].tolist() == pytest.approx([0.9, 0.9])


def test_a5_frozen_parameters_are_not_moved_and_refused_where_nothing_else_is_matched():
    values = {"open": nn.Parameter(torch.ones(2)), "frozen": nn.Parameter(torch.ones(2), requires_grad=False)}
    step = ProximalL1(PLAIN, RegularizerFacts(values))
    step.proximal(values, 1.0, dict.fromkeys(values, 0.1))
    assert values["frozen"].tolist() == [1.0, 1.0]
    assert values["open"].tolist() == pytest.approx([0.9, 0.9])
    with pytest.raises(ConfigError, match="frozen"):
        ProximalL1(PLAIN, RegularizerFacts({"frozen": values["frozen"]}))


def test_a6_a_strength_that_ramps_stays_on_after_its_end():
    """The old `linear_ramp` switched the penalty off at the end of the ramp."""
    ramp = Schedule(schedule="ramp", start=0.0, stop=2.0, begin=10, steps=10)
    options = GroupLassoOptions(strength=ramp, match="*")
    strengths = [value_at(options.strength, Clock(step, 0.0, 0.0)) for step in (0, 10, 15, 20, 21, 10_000)]
    assert strengths == [0.0, 0.0, 1.0, 2.0, 2.0, 2.0]
