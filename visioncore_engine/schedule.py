"""One scalar schedule for every option that varies in time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Clock", "Schedule", "Scheduled", "value_at"]


@dataclass(frozen=True)
class Clock:
    """Where training stands: `step` optimizer steps, `epoch` epochs (fractional), `fraction` of the whole run."""

    step: int
    epoch: float
    fraction: float


class Schedule(BaseModel):
    """A value that changes between `start` and `stop` and then holds `stop` for ever.

    ``constant`` is `stop` throughout; ``step_in`` jumps at `begin`; ``ramp`` is linear, ``cosine`` half a cosine and
    ``decay`` geometric, each over `steps` ticks of the clock counted from `begin`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    schedule: Literal["constant", "step_in", "ramp", "cosine", "decay"] = Field(description="shape of the change")
    start: float = Field(0.0, description="value before and at `begin`")
    stop: float = Field(1.0, description="value at the end, and held afterwards")
    begin: float = Field(0.0, ge=0, description="when the change begins, in ticks of the clock")
    steps: float = Field(0.0, ge=0, description="how long the change takes, in ticks of the clock")
    clock: Literal["step", "epoch", "fraction"] = Field(
        "step", description="what ticks: optimizer steps, epochs, or the fraction of the run"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Schedule:
        if self.schedule in ("ramp", "cosine", "decay") and self.steps == 0:
            raise ValueError(f"schedule {self.schedule!r} needs `steps` > 0: how long the change takes")
        if self.schedule == "decay" and not (self.start > 0 and self.stop > 0):
            raise ValueError("schedule 'decay' is geometric: `start` and `stop` must be > 0")
        return self

    def at(self, clock: Clock) -> float:
        """Value at a moment of training."""
        if self.schedule == "constant":
            return self.stop
        now: float = {"step": clock.step, "epoch": clock.epoch, "fraction": clock.fraction}[self.clock]
        if self.schedule == "step_in":
            return self.stop if now >= self.begin else self.start
        done = min(max((now - self.begin) / self.steps, 0.0), 1.0)
        if done >= 1.0:
            return self.stop
        if self.schedule == "cosine":
            done = (1.0 - math.cos(math.pi * done)) / 2.0
        if self.schedule == "decay":
            return float(self.start * (self.stop / self.start) ** done)
        return self.start + done * (self.stop - self.start)


Scheduled = Annotated[float | Schedule, Field(union_mode="left_to_right")]
"""A number, or a `Schedule` block."""


def value_at(scheduled: float | Schedule, clock: Clock) -> float:
    """Value of an option that may be a plain number or a schedule."""
    return scheduled.at(clock) if isinstance(scheduled, Schedule) else float(scheduled)
