"""What a user may write for callbacks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from visioncore_engine.options import Options, Patterns

__all__ = [
    "CurriculumLogOptions",
    "EarlyStoppingOptions",
    "EpochSummaryOptions",
    "GradientNormsOptions",
    "HeartbeatOptions",
    "LossSpikeOptions",
    "TimeBudgetOptions",
    "WeightAverageOptions",
]


class HeartbeatOptions(Options):
    """One line now and then: step, loss, predictions per second, validation score."""

    every: int | None = Field(None, ge=1, description="optimizer steps between two lines")
    epochs: bool = Field(True, description="also a line after each validation")
    stream: Literal["stdout", "stderr", "log"] = Field(
        "stdout", description="where lines go: a stream, or Python logging at level INFO"
    )

    @model_validator(mode="after")
    def _beats(self) -> HeartbeatOptions:
        if self.every is None and not self.epochs:
            raise ValueError("nothing would be written: set `every`, or leave `epochs` on")
        return self


class EarlyStoppingOptions(Options):
    """Stop when a monitored value has not improved for `patience` validations."""

    monitor: str = Field("", description="logged value that is watched; by default the run's `checkpoint.monitor`")
    mode: Literal["", "min", "max"] = Field("", description="which is better; by default the run's `checkpoint.mode`")
    patience: int = Field(10, ge=0, description="validations without improvement that are put up with")
    min_delta: float = Field(0.0, ge=0, description="smallest change that is an improvement")

    @model_validator(mode="after")
    def _own_monitor_has_a_mode(self) -> EarlyStoppingOptions:
        if bool(self.monitor) != bool(self.mode):
            raise ValueError("`monitor` and `mode` are set together, or neither is")
        return self


class CurriculumLogOptions(Options):
    """What the sampler says of the curriculum that it is in."""

    every: int = Field(50, ge=1, description="optimizer steps between two values")


class LossSpikeOptions(Options):
    """What to do about a step whose loss lies far above those before it."""

    window: int = Field(100, ge=8, description="steps that a loss is compared with; until there are as many, none is")
    threshold: float = Field(6.0, gt=0, description="standard deviations above their mean that are a spike")
    action: Literal["warn", "skip", "rollback"] = Field(
        "warn",
        description="say it, leave the step out, or leave it out and go on from the weights of the last checkpoint",
    )
    limit: int = Field(3, ge=0, description="spikes in the whole run that are left out; one more ends it")


class TimeBudgetOptions(Options):
    """How long training may take, resumed or not."""

    minutes: float = Field(gt=0, description="wall-clock minutes from the first step on, validations included")
    shorten: bool = Field(
        False,
        description="count after each validation the steps that fit into what is left; where these are fewer than "
        "planned, learning rates and schedules whose clock is `fraction` end with them; without it they are cut off. "
        "What counts steps or epochs, such as the curriculum of a sampler, stays as it is",
    )


class WeightAverageOptions(Options):
    """An average of the weights over the steps, for validation and everything after training."""

    decay: float = Field(
        0.999,
        gt=0,
        lt=1,
        description="what a step's weights count beside those of the step after it: the average is over about "
        "1 / (1 - decay) steps",
    )


class GradientNormsOptions(Options):
    """Norms of gradients by part of the model."""

    depth: int = Field(
        1, ge=1, description="words of a parameter's name that make a part: 1 is 'core', 2 is 'core.0', a stage"
    )
    every: int = Field(10, ge=1, description="optimizer steps from one measurement to the next")


class EpochSummaryOptions(Options):
    """A table of scores after each validation."""

    scores: Patterns = Field(("val/*",), description="names of the scores that are shown, as they are logged")
