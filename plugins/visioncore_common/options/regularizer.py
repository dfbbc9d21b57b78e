"""What a user may write for regularizers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from visioncore_engine.options import Patterns, RegularizerOptions
from visioncore_engine.schedule import Schedule, Scheduled

__all__ = ["ActivityOptions", "ClampOptions", "GroupLassoOptions", "LaplacianOptions", "ProximalL1Options"]


class GroupLassoOptions(RegularizerOptions):
    """Sum over groups of the Euclidean norm of each group: whole groups go to zero (Yuan & Lin 2006)."""

    groups: Literal["unit", "channel", "filter", "tensor"] = Field(
        "unit",
        description="what is one group: a slice along the first axis ('unit': all weights of one output), along the "
        "second ('channel': all weights from one input), along both ('filter': the kernel from one input to one "
        "output), or the whole parameter ('tensor')",
    )
    size_scaled: bool = Field(
        False, description="weigh each norm by the root of the group's size, so that large groups are not spared"
    )


class LaplacianOptions(RegularizerOptions):
    """Squared Laplacian of weights: how much they bend in space or in time."""

    axes: tuple[int, ...] = Field(
        (-2, -1),
        min_length=1,
        description="axes along which weights are to be smooth, -1 being the last; of kernels (out, in, T, H, W) "
        "[-2, -1] is space and [-3] is time",
    )


class ClampOptions(RegularizerOptions):
    """Bounds that values are brought back to after each step."""

    strength: Scheduled = Field(1.0, description="part of the way back to the bound, 1 at most: a number or a schedule")
    min: float | Schedule | None = Field(None, description="lower bound: a number or a schedule", examples=[0.0])
    max: float | Schedule | None = Field(None, description="upper bound: a number or a schedule")

    @model_validator(mode="after")
    def _bounds_something(self) -> ClampOptions:
        if self.min is None and self.max is None:
            raise ValueError("nothing would be bounded: set `min`, `max` or both")
        if isinstance(self.min, float) and isinstance(self.max, float) and self.min > self.max:
            raise ValueError("`min` lies above `max`")
        return self


class ProximalL1Options(RegularizerOptions):
    """Soft threshold after each optimizer step."""

    rates: Literal["parameter", "value"] = Field(
        "parameter",
        description="what the threshold is in proportion to: the learning rate of the parameter, or that of each "
        "value, which Adam divides by the size of its gradients",
    )


class ActivityOptions(RegularizerOptions):
    """Size of a model's outputs, or of features in it."""

    match: Patterns = Field(
        description="names of outputs, e.g. 'robs', the task, or features that a model shows, e.g. 'features/core.0' "
        "with `expose` of the encoder"
    )
    of: Literal["parameters", "outputs"] = Field("outputs", description="what is penalised: outputs")
    norm: Literal["l1", "l2"] = Field("l1", description="absolute values, or squares")
