"""Schedulers that are pure functions of the optimizer step; `plateau` has its own module."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from visioncore_common.options.scheduler import (
    CosineOptions,
    ExponentialOptions,
    OneCycleOptions,
    PolynomialOptions,
    StepOptions,
    WarmupCosineOptions,
    WarmupCosineRestartsOptions,
)
from visioncore_engine.contracts import SchedulerFacts
from visioncore_engine.errors import ConfigError, Problem
from visioncore_engine.options import Options

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "OneCycle",
    "Polynomial",
    "Step",
    "WarmupCosine",
    "WarmupCosineRestarts",
]


def _fall(done: float, low: float) -> float:
    """Half a cosine from 1 at `done` = 0 to `low` at `done` = 1."""
    return low + (1.0 - low) * (1.0 + math.cos(math.pi * done)) / 2.0


def _total(total_steps: int | None, facts: SchedulerFacts) -> int:
    total = total_steps or facts.total_steps
    if total is None:
        raise ConfigError(
            Problem(
                what="this run has no planned end, which the scheduler needs",
                key="scheduler.total_steps",
                todo="set it, or `trainer.max_epochs` or `trainer.max_steps`",
            )
        )
    return total


def _after_warmup(warmup_steps: int, total: int) -> int:
    if warmup_steps >= total:
        raise ConfigError(
            Problem(
                what=f"the rise must end before the run does, after {total} steps",
                key="scheduler.warmup_steps",
                given=str(warmup_steps),
                todo=f"write at most {total - 1}" if total > 1 else "choose a scheduler without one",
            )
        )
    return total - warmup_steps


class _Pure:
    """A scheduler without memory."""

    def observe(self, scores: Mapping[str, float]) -> None:
        """Ignore the scores."""

    def state(self) -> dict[str, Any]:
        """Nothing: the factor depends on the step alone."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back nothing."""


class Constant(_Pure):
    """The base rate throughout."""

    def __init__(self, options: Options, facts: SchedulerFacts) -> None:
        del options, facts  # it has none, and needs none

    def factor(self, step: int) -> float:
        """Return 1."""
        return 1.0


class Cosine(_Pure):
    """Half a cosine over the run (Loshchilov & Hutter 2017)."""

    def __init__(self, options: CosineOptions, facts: SchedulerFacts) -> None:
        self._total = _total(options.total_steps, facts)
        self._low = options.final_factor

    def factor(self, step: int) -> float:
        """Factor of a step; `final_factor` from the end on."""
        return _fall(min(step / self._total, 1.0), self._low)


class WarmupCosine(_Pure):
    """(step + 1) / warmup_steps at first, then half a cosine over the rest of the run.

    Raises
    ------
    ConfigError
        Where the run has no planned end, or ends before the rise does.
    """

    def __init__(self, options: WarmupCosineOptions, facts: SchedulerFacts) -> None:
        self._warmup, self._low = options.warmup_steps, options.final_factor
        self._rest = _after_warmup(self._warmup, _total(options.total_steps, facts))

    def factor(self, step: int) -> float:
        """Factor of a step; `final_factor` from the end on."""
        if step < self._warmup:
            return (step + 1) / self._warmup
        return _fall(min((step - self._warmup) / self._rest, 1.0), self._low)


class WarmupCosineRestarts(_Pure):
    """A rise, then cosines of lengths L, L·s, L·s², … with peaks 1, p, p², … (SGDR, Loshchilov & Hutter 2017).

    Where the run has a planned end, the factor of its last step is held from there on.

    Raises
    ------
    ConfigError
        Where the run ends before the rise does, or `cycle_steps` is needed because it has no planned end.
    """

    def __init__(self, options: WarmupCosineRestartsOptions, facts: SchedulerFacts) -> None:
        self._warmup, self._low = options.warmup_steps, options.final_factor
        self._scale, self._peak = options.cycle_scale, options.peak_scale
        self._total = options.total_steps or facts.total_steps
        if self._total is None and options.cycle_steps is None:
            raise ConfigError(
                Problem(
                    what="this run has no planned end to take half of",
                    key="scheduler.cycle_steps",
                    todo="set it, or `trainer.max_epochs` or `trainer.max_steps`",
                )
            )
        rest = _after_warmup(self._warmup, self._total) if self._total else 0
        self._cycle = options.cycle_steps or -(-rest // 2)  # rounded up: no third cycle of a single step

    def factor(self, step: int) -> float:
        """Factor of a step."""
        if self._total is not None:
            step = min(step, self._total - 1)
        if step < self._warmup:
            return (step + 1) / self._warmup
        number, done = self._cycle_at(step - self._warmup)
        peak = self._peak**number
        return self._low + max(peak - self._low, 0.0) * _fall(done, 0.0)

    def _cycle_at(self, step: int) -> tuple[int, float]:
        """Find the cycle that `step` after the rise lies in, and the part of it that is done."""
        if self._scale == 1.0:
            number, within = divmod(step, self._cycle)
            return number, within / self._cycle
        ratio = step / self._cycle * (self._scale - 1.0) + 1.0  # cycle n starts at L (s^n - 1) / (s - 1)
        number = math.floor(math.log(ratio) / math.log(self._scale) + 1e-9)
        length = self._cycle * self._scale**number
        start = self._cycle * (self._scale**number - 1.0) / (self._scale - 1.0)
        return number, min(max((step - start) / length, 0.0), 1.0)


class Polynomial(_Pure):
    """((total - step) / total) to a power, as `torch.optim.lr_scheduler.PolynomialLR`."""

    def __init__(self, options: PolynomialOptions, facts: SchedulerFacts) -> None:
        self._total = _total(options.total_steps, facts)
        self._low, self._power = options.final_factor, options.power

    def factor(self, step: int) -> float:
        """Factor of a step; `final_factor` from the end on."""
        left = max(1.0 - step / self._total, 0.0)
        return float(self._low + (1.0 - self._low) * left**self._power)


class OneCycle(_Pure):
    """A rise to 1 and a fall, as `torch.optim.lr_scheduler.OneCycleLR`; its last value is held, torch raises there.

    Raises
    ------
    ConfigError
        Where the run has no planned end, or is so short that it has no rise or no fall.
    """

    def __init__(self, options: OneCycleOptions, facts: SchedulerFacts) -> None:
        total = _total(options.total_steps, facts)
        self._top, self._end = options.warmup_fraction * total - 1.0, total - 1.0
        if self._top <= 0:
            raise ConfigError(
                Problem(
                    what=f"the rise needs more than one of the run's {total} steps",
                    key="scheduler.warmup_fraction",
                    given=str(options.warmup_fraction),
                    todo=f"write more than {1 / total:.3g}" if total > 1 else "train for more steps",
                )
            )
        self._start, self._low, self._shape = options.start_factor, options.final_factor, options.shape

    def factor(self, step: int) -> float:
        """Factor of a step; `final_factor` from the last step on."""
        now = min(float(step), self._end)
        if now <= self._top:
            return self._between(self._start, 1.0, now / self._top)
        return self._between(1.0, self._low, (now - self._top) / (self._end - self._top))

    def _between(self, start: float, stop: float, done: float) -> float:
        left = _fall(done, 0.0) if self._shape == "cosine" else 1.0 - done
        return stop + (start - stop) * left


class Step(_Pure):
    """`gamma` to the number of whole intervals that have passed, as `torch.optim.lr_scheduler.StepLR`."""

    def __init__(self, options: StepOptions, facts: SchedulerFacts) -> None:
        self._gamma = options.gamma
        self._interval = options.every * (facts.steps_per_epoch if options.unit == "epochs" else 1)

    def factor(self, step: int) -> float:
        """Factor of a step."""
        return float(self._gamma ** (step // self._interval))


class Exponential(_Pure):
    """`gamma` to the intervals that have passed, fractions counted: the same decay at every step."""

    def __init__(self, options: ExponentialOptions, facts: SchedulerFacts) -> None:
        self._gamma = options.gamma
        self._interval = options.every * (facts.steps_per_epoch if options.unit == "epochs" else 1)

    def factor(self, step: int) -> float:
        """Factor of a step."""
        return float(self._gamma ** (step / self._interval))
