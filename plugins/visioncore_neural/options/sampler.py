"""Options of the samplers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from visioncore_engine.options import SamplerOptions
from visioncore_engine.schedule import Schedule

__all__ = ["BalancedOptions", "BySessionOptions", "ContrastWeightedOptions"]


class BySessionOptions(SamplerOptions):
    """Each batch from one session."""

    draw: Literal["size", "uniform"] = Field(
        "size", description="how often a session comes: in proportion to its windows, or as often as any other"
    )


class BalancedOptions(SamplerOptions):
    """Batches over all sessions, with a declared balance."""

    by: Literal["samples", "sessions", "subjects", "units"] = Field(
        "sessions",
        description="what comes alike: every predicted frame; every session; every subject; every unit "
        "(a session as often as it has units)",
    )


class ContrastWeightedOptions(SamplerOptions):
    """Windows of high contrast first, fading to all alike."""

    warmup: Annotated[float | Schedule, Field(union_mode="left_to_right")] = Field(
        Schedule(schedule="ramp", start=0.0, stop=1.0, steps=2000),
        description="the share a in `weight = (1 - a) * score + a`: a number or a schedule over steps or epochs, read "
        "at every draw; it stays what it is where `time_budget` shortens the run",
    )

    @field_validator("warmup")
    @classmethod
    def _is_a_share(cls, warmup: float | Schedule) -> float | Schedule:
        for value in (warmup.start, warmup.stop) if isinstance(warmup, Schedule) else (warmup,):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"`warmup` is a share: it lies between 0 and 1, not at {value:g}")
        if isinstance(warmup, Schedule) and warmup.clock == "fraction":
            raise ValueError("`warmup` counts steps or epochs: a sampler does not know where the run ends")
        return warmup
