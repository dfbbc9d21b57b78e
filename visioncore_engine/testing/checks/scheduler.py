"""Laws of schedulers: a factor of the optimizer step, finite and never negative, that a resume does not change."""

from __future__ import annotations

import math
from dataclasses import replace

from visioncore_engine.contracts import SchedulerFacts
from visioncore_engine.errors import UserError
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.observed import difference
from visioncore_engine.testing.saved import expect_plain, saved_and_loaded
from visioncore_engine.testing.scenes.scheduler import EPOCHS, STEPS, SchedulerScene, curve

__all__ = [
    "endless_run_is_built_or_refused",
    "factor_depends_on_the_step",
    "factors_are_finite_and_not_negative",
    "missing_scores_are_survived_or_named",
    "nothing_rises_after_the_end",
    "resume_continues_the_curve",
    "state_is_plain",
    "training_happens",
    "unscored_validations_are_survived",
]


@check("scheduler")
def factors_are_finite_and_not_negative(case: Case) -> None:
    """Every factor is a finite float of 0 or more, at every step of the run and beyond its end."""
    built = case.build()
    for step in (*range(STEPS * EPOCHS), STEPS * EPOCHS, STEPS * EPOCHS + 1, 10 * STEPS * EPOCHS, 2**31):
        factor = built.factor(step)
        assert isinstance(factor, float), f"the factor of step {step} is a {type(factor).__name__}, not a float"
        assert math.isfinite(factor), f"the factor of step {step} is {factor}"
        assert factor >= 0, f"the factor of step {step} is {factor}: the step would go uphill"


@check("scheduler")
def training_happens(case: Case) -> None:
    """At least half of the steps of a run have a factor above 0, and the first one has."""
    factors = [case.build().factor(step) for step in range(STEPS * EPOCHS)]
    assert factors[0] > 0, "the first step has the factor 0: it would be computed and thrown away"
    assert sum(factor > 0 for factor in factors) > len(factors) / 2, "most steps have the factor 0"
    assert max(factors) <= 1 + 1e-12, f"a factor of {max(factors)} exceeds the base rate, which the user chose"


@check("scheduler")
def nothing_rises_after_the_end(case: Case) -> None:
    """Steps beyond the planned end, as a longer run has them, have no larger factor than the last one."""
    built = case.build()
    last = built.factor(STEPS * EPOCHS - 1)
    for more in (1, 2, STEPS, STEPS * EPOCHS // 2, STEPS * EPOCHS):
        factor = built.factor(STEPS * EPOCHS - 1 + more)
        assert factor <= last + 1e-12, f"{more} steps after the end the factor has risen from {last:g} to {factor:g}"


@check("scheduler")
def factor_depends_on_the_step(case: Case) -> None:
    """Asked in any order and any number of times, the factor of a step is the same: no call counts as a step."""
    built, other = case.build(), case.build()
    forward = [built.factor(step) for step in range(STEPS * EPOCHS)]
    backward = [other.factor(step) for step in reversed(range(STEPS * EPOCHS)) for _ in range(3)][::-3]
    found = difference(forward, backward)
    assert found is None, f"a factor depends on which steps were asked for before: {found}"


@check("scheduler")
def resume_continues_the_curve(case: Case) -> None:
    """Saved after any epoch and restored into a fresh scheduler, the curve goes on as if nothing had happened."""
    scene = _scene(case)
    whole = curve(case.build(scene), scene, 0, EPOCHS)
    for epoch in range(1, EPOCHS):
        first, second = case.build(scene), case.build(scene)
        curve(first, scene, 0, epoch)
        second.restore(saved_and_loaded(first.state()))
        found = difference(whole[epoch * STEPS :], curve(second, scene, epoch, EPOCHS))
        assert found is None, f"resumed after epoch {epoch}, the curve goes on otherwise: {found}"


@check("scheduler")
def state_is_plain(case: Case) -> None:
    """Its state holds plain values, at any time, and comes back as it was."""
    scene = _scene(case)
    built = case.build(scene)
    for epoch in range(EPOCHS):
        expect_plain(built.state())
        other = case.build(scene)
        other.restore(saved_and_loaded(built.state()))
        found = difference(built.state(), other.state())
        assert found is None, f"the state that was restored is not the one that was saved: {found}"
        curve(built, scene, epoch, epoch + 1)


@check("scheduler")
def unscored_validations_are_survived(case: Case) -> None:
    """A validation in which nothing could be scored (NaN) leaves the factors finite and never counts as the best."""
    scene = _scene(case)
    built = case.build(scene)
    for epoch in range(3):
        built.observe({**scene.scores(epoch), scene.monitor: math.nan})
        assert math.isfinite(built.factor(epoch * STEPS)), "after a score of NaN the factor is not finite"
    other = case.build(scene)
    curve(built, scene, 0, 2)
    curve(other, scene, 0, 2)
    assert math.isfinite(built.factor(2 * STEPS)), "after a score of NaN the factor is not finite"
    found = [value for value in built.state().values() if isinstance(value, float) and math.isnan(value)]
    assert not found, "a score of NaN is kept, and nothing will ever be better"


@check("scheduler")
def missing_scores_are_survived_or_named(case: Case) -> None:
    """A validation that lacks the value it watches is ignored, or refused by name; it is no KeyError."""
    scene = _scene(case)
    try:
        case.build(scene).observe({"val/something_else": 1.0})
    except UserError as error:
        assert scene.monitor in str(error), f"the error does not name what is missing: {error}"


@check("scheduler")
def endless_run_is_built_or_refused(case: Case) -> None:
    """A run without a planned end is either fine, or the user's mistake with a remedy."""
    try:
        built = case.choose().build(SchedulerFacts(total_steps=None, steps_per_epoch=STEPS))
    except UserError as error:
        assert any(problem.todo for problem in error.problems), f"the error does not say what to do: {error}"
    else:
        assert math.isfinite(built.factor(10**6)), "the factor of a late step of an endless run is not finite"


def _scene(case: Case) -> SchedulerScene:
    scene = case.scene_of()
    assert isinstance(scene, SchedulerScene), "the scene of a scheduler is a SchedulerScene"
    return replace(scene)
