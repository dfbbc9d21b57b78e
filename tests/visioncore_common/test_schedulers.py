from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from visioncore_common import schedulers
from visioncore_common.options import scheduler as options
from visioncore_engine.contracts import SchedulerFacts
from visioncore_engine.errors import ConfigError
from visioncore_engine.options import Options

EVERY = [
    ("Constant", Options()),
    ("Cosine", options.CosineOptions()),
    ("WarmupCosine", options.WarmupCosineOptions(warmup_steps=7)),
    ("WarmupCosineRestarts", options.WarmupCosineRestartsOptions(warmup_steps=7, cycle_scale=1.5, peak_scale=0.5)),
    ("Polynomial", options.PolynomialOptions(power=2.0)),
    ("OneCycle", options.OneCycleOptions()),
    ("Step", options.StepOptions(every=20, unit="steps")),
    ("Exponential", options.ExponentialOptions(gamma=0.9)),
]
ENDING = [pair for pair in EVERY if pair[0] not in ("Constant", "Step", "Exponential")]


def build(name, chosen, total=100, per_epoch=10):
    return getattr(schedulers, name)(chosen, SchedulerFacts(total, per_epoch))


def torch_factors(make, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    factors = []
    for step in range(steps):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            scheduler.step()
    return factors


def ours(scheduler, steps):
    return [scheduler.factor(step) for step in range(steps)]


REFERENCES = [
    ("Cosine", options.CosineOptions(final_factor=0.1), lambda o: lr_scheduler.CosineAnnealingLR(o, 100, eta_min=0.1)),
    ("Polynomial", options.PolynomialOptions(power=1.7), lambda o: lr_scheduler.PolynomialLR(o, 100, power=1.7)),
    ("Step", options.StepOptions(gamma=0.3, every=20, unit="steps"), lambda o: lr_scheduler.StepLR(o, 20, gamma=0.3)),
    (
        "Exponential",
        options.ExponentialOptions(gamma=0.97, unit="steps"),
        lambda o: lr_scheduler.ExponentialLR(o, 0.97),
    ),
    (
        "OneCycle",
        options.OneCycleOptions(),
        lambda o: lr_scheduler.OneCycleLR(o, 1.0, total_steps=100, cycle_momentum=False),
    ),
    (
        "OneCycle",
        options.OneCycleOptions(warmup_fraction=0.2, shape="linear", start_factor=0.1, final_factor=1e-3),
        lambda o: lr_scheduler.OneCycleLR(
            o,
            1.0,
            total_steps=100,
            pct_start=0.2,
            anneal_strategy="linear",
            div_factor=10,
            final_div_factor=100,
            cycle_momentum=False,
        ),
    ),
]


@pytest.mark.parametrize(("name", "chosen", "reference"), REFERENCES)
def test_equal_to_torch_where_torch_is_right(name, chosen, reference):
    assert ours(build(name, chosen), 100) == pytest.approx(torch_factors(reference, 100), abs=1e-12)


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_restarts_are_those_of_torch_after_the_rise(scale):
    chosen = options.WarmupCosineRestartsOptions(
        warmup_steps=5, cycle_steps=9, cycle_scale=float(scale), final_factor=0.2
    )
    factors = ours(build("WarmupCosineRestarts", chosen, total=None), 205)
    reference = torch_factors(lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 9, scale, eta_min=0.2), 200)
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[5:] == pytest.approx(reference, abs=1e-9)


def test_each_restart_is_lower_by_the_peak_scale():
    chosen = options.WarmupCosineRestartsOptions(warmup_steps=1, cycle_steps=10, peak_scale=0.5, final_factor=0.1)
    scheduler = build("WarmupCosineRestarts", chosen, total=None)
    assert [scheduler.factor(1 + 10 * cycle) for cycle in range(5)] == pytest.approx([1.0, 0.5, 0.25, 0.125, 0.1])


@given(warmup=st.integers(1, 60), rest=st.integers(1, 200), low=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_warmup_cosine_closed_form(warmup, rest, low):
    chosen = options.WarmupCosineOptions(warmup_steps=warmup, final_factor=low)
    scheduler = build("WarmupCosine", chosen, total=warmup + rest)
    for step in range(warmup + rest):
        expected = (
            (step + 1) / warmup
            if step < warmup
            else low + (1 - low) * math.cos(math.pi * (step - warmup) / rest / 2) ** 2
        )
        assert scheduler.factor(step) == pytest.approx(expected, abs=1e-12)
    assert scheduler.factor(warmup) == 1.0


@pytest.mark.parametrize("name", ["WarmupCosine", "WarmupCosineRestarts"])
def test_b6_the_first_step_does_not_train_at_zero(name):
    chosen = getattr(options, f"{name}Options")(warmup_steps=8)
    assert build(name, chosen).factor(0) == 1 / 8


@pytest.mark.parametrize(("name", "chosen"), ENDING)
def test_b6_nothing_rises_again_beyond_the_end(name, chosen):
    scheduler = build(name, chosen)
    held = scheduler.factor(1000)
    assert ours(scheduler, 400)[100:] == [held] * 300
    assert held <= scheduler.factor(99)


@pytest.mark.parametrize("warmup", [10, 11])
@pytest.mark.parametrize("name", ["WarmupCosine", "WarmupCosineRestarts"])
def test_b6_a_rise_as_long_as_the_run_is_refused(name, warmup):
    chosen = getattr(options, f"{name}Options")(warmup_steps=warmup)
    with pytest.raises(ConfigError, match=f"scheduler.warmup_steps.*got {warmup}.*at most 9"):
        build(name, chosen, total=10)


@pytest.mark.parametrize("warmup", [1, 2, 5])
@pytest.mark.parametrize("total", [6, 7, 8])
def test_b6_short_restarts_divide_by_nothing(total, warmup):
    chosen = options.WarmupCosineRestartsOptions(warmup_steps=warmup)
    factors = ours(build("WarmupCosineRestarts", chosen, total=total), total)
    assert all(0 <= factor <= 1 for factor in factors)
    restarts = sum(after == 1.0 for after in factors[warmup + 1 :])
    assert restarts <= 1, "half of the rest, rounded up: no third cycle"


@pytest.mark.parametrize(("name", "chosen"), ENDING)
def test_a_run_without_an_end_is_refused_where_it_is_needed(name, chosen):
    key = "cycle_steps" if name == "WarmupCosineRestarts" else "total_steps"
    with pytest.raises(ConfigError, match=f"scheduler.{key}.*no planned end"):
        build(name, chosen, total=None)


@pytest.mark.parametrize(("name", "chosen"), [pair for pair in ENDING if pair[0] != "WarmupCosineRestarts"])
def test_an_own_end_replaces_that_of_the_run(name, chosen):
    own = chosen.model_copy(update={"total_steps": 100})
    assert ours(build(name, own, total=None), 150) == ours(build(name, chosen, total=100), 150)


@pytest.mark.parametrize("total", [1, 3])
def test_onecycle_in_too_few_steps_is_refused(total):
    with pytest.raises(ConfigError, match=f"of the run's {total} steps"):
        build("OneCycle", options.OneCycleOptions(), total=total)


def test_epochs_are_turned_into_steps():
    step = build("Step", options.StepOptions(gamma=0.5, every=3), per_epoch=10)
    assert [step.factor(29), step.factor(30), step.factor(60)] == [1.0, 0.5, 0.25]
    smooth = build("Exponential", options.ExponentialOptions(gamma=0.5, every=2), per_epoch=10)
    assert smooth.factor(20) == pytest.approx(0.5)
    assert smooth.factor(10) == pytest.approx(math.sqrt(0.5))


@pytest.mark.parametrize(("name", "chosen"), EVERY)
def test_factors_are_pure_finite_and_at_most_one(name, chosen):
    scheduler = build(name, chosen)
    factors = ours(scheduler, 120)
    scheduler.observe({"val/loss": float("nan")})
    scheduler.restore(scheduler.state())
    assert scheduler.state() == {}
    assert [scheduler.factor(step) for step in reversed(range(120))] == factors[::-1]
    assert all(0 <= factor <= 1 for factor in factors)
