"""What a user may write for learning-rate schedulers. Steps are optimizer steps, counted from 0.

A scheduler gives a factor on every base rate. One with an end holds its last value beyond it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from visioncore_engine.options import Options

__all__ = [
    "CosineOptions",
    "ExponentialOptions",
    "OneCycleOptions",
    "PlateauOptions",
    "PolynomialOptions",
    "StepOptions",
    "WarmupCosineOptions",
    "WarmupCosineRestartsOptions",
]


class _Ending(Options):
    total_steps: int | None = Field(
        None, ge=1, description="step at which the last value is reached; by default the end of the run"
    )


class _Decaying(_Ending):
    final_factor: float = Field(0.0, ge=0, le=1, description="factor at the end, held afterwards")


class CosineOptions(_Decaying):
    """Half a cosine from 1 to `final_factor`."""


class WarmupCosineOptions(_Decaying):
    """Linear rise to 1 over the first steps, then half a cosine to `final_factor`."""

    warmup_steps: int = Field(ge=1, description="steps of the rise; the first has the factor 1 / warmup_steps, never 0")


class WarmupCosineRestartsOptions(WarmupCosineOptions):
    """Linear rise, then half cosines one after another, each from its peak to `final_factor`."""

    cycle_steps: int | None = Field(
        None, ge=1, description="steps of the first cosine; by default half of what follows the rise"
    )
    cycle_scale: float = Field(1.0, ge=1, description="each cosine is this much longer than the one before it")
    peak_scale: float = Field(1.0, gt=0, le=1, description="each cosine starts this much lower than the one before it")


class PolynomialOptions(_Decaying):
    """From 1 to `final_factor` as a power of what is left of the run."""

    power: float = Field(1.0, gt=0, description="1 is linear, more is faster at first")


class OneCycleOptions(_Ending):
    """One rise and one fall (Smith & Topin 2018), as `torch.optim.lr_scheduler.OneCycleLR` with `lr` as its peak."""

    warmup_fraction: float = Field(0.3, gt=0, lt=1, description="part of the steps in which the rate rises")
    shape: Literal["cosine", "linear"] = Field("cosine", description="shape of the rise and of the fall")
    start_factor: float = Field(0.04, gt=0, le=1, description="factor of the first step")
    final_factor: float = Field(4e-6, ge=0, le=1, description="factor of the last step, held afterwards")


class _Multiplying(Options):
    gamma: float = Field(gt=0, le=1, description="what the rate is multiplied by")
    every: int = Field(1, ge=1, description="how often it is multiplied, in `unit`")
    unit: Literal["steps", "epochs"] = Field("epochs", description="what `every` counts")


class StepOptions(_Multiplying):
    """Multiply the rate by `gamma` after `every` steps or epochs."""

    gamma: float = Field(0.5, gt=0, le=1, description="what the rate is multiplied by")
    every: int = Field(30, ge=1, description="how often it is multiplied, in `unit`")


class ExponentialOptions(_Multiplying):
    """Decay smoothly, by `gamma` over `every` steps or epochs."""


class PlateauOptions(Options):
    """Multiply the rate by `gamma` when a monitored value has stopped getting better."""

    monitor: str = Field("val/loss", description="logged value that is watched")
    mode: Literal["min", "max"] = Field("min", description="whether a smaller or a larger value is better")
    gamma: float = Field(0.5, gt=0, lt=1, description="what the rate is multiplied by")
    patience: int = Field(3, ge=0, description="validations without improvement that are put up with")
    min_delta: float = Field(0.0, ge=0, description="smallest change that is an improvement")
    cooldown: int = Field(0, ge=0, description="validations after a reduction that are not counted")
    final_factor: float = Field(0.0, ge=0, le=1, description="factor that is never gone below")

    @model_validator(mode="after")
    def _names_a_value(self) -> PlateauOptions:
        if not self.monitor:
            raise ValueError("`monitor` names a logged value, such as val/loss")
        return self
