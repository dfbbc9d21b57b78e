"""The scheduler `trapezoid` goes up, stays and comes down."""

from __future__ import annotations

import pytest

from example_lab.options import TrapezoidOptions
from example_lab.scheduler import Trapezoid
from visioncore_engine.contracts import SchedulerFacts
from visioncore_engine.errors import ConfigError


def factors(total: int, **options: float) -> list[float]:
    scheduler = Trapezoid(TrapezoidOptions(**options), SchedulerFacts(total_steps=total, steps_per_epoch=5))
    return [scheduler.factor(step) for step in range(total)]


def test_corners() -> None:
    assert factors(10, warmup_steps=4, cooldown=0.3) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 0.75, 0.5, 0.25])


def test_without_slopes_it_is_constant() -> None:
    assert factors(5, cooldown=0.0) == [1.0] * 5


@pytest.mark.parametrize("total", [1, 2, 7, 1000])
def test_every_step_of_the_run_moves_and_none_after_it(total: int) -> None:
    scheduler = Trapezoid(TrapezoidOptions(cooldown=1.0), SchedulerFacts(total_steps=total, steps_per_epoch=5))
    assert all(0 < scheduler.factor(step) <= 1 for step in range(total))
    assert scheduler.factor(total) == scheduler.factor(total + 10) == 0


def test_slopes_must_fit_and_the_run_must_end() -> None:
    with pytest.raises(ConfigError, match=r"scheduler\.warmup_steps: .*run of 10 steps.*at most 8 fit"):
        factors(10, warmup_steps=9, cooldown=0.2)
    with pytest.raises(ConfigError, match="end"):
        Trapezoid(TrapezoidOptions(), SchedulerFacts(total_steps=None, steps_per_epoch=5))
