"""What a user may write for readouts."""

from __future__ import annotations

from pydantic import Field, model_validator

from visioncore_engine.options import Options

__all__ = ["FactorizedOptions", "GaussianMixtureOptions", "GaussianOptions", "PooledOptions"]


class GaussianOptions(Options):
    """Each unit looks at the features through a Gaussian window. Lengths: the frame spans -1 to 1 on each axis."""

    init_std: float = Field(0.5, gt=0, description="width of the windows at the start, standard deviation")
    min_std: float = Field(0.02, gt=0, description="width below which no window can shrink")
    init_mean_scale: float = Field(
        0.1, ge=0, description="standard deviation of the centres at the start, around the middle; cut off at the edges"
    )
    rotate: bool = Field(False, description="also learn the angle of each window")

    @model_validator(mode="after")
    def _wider_than_the_floor(self) -> GaussianOptions:
        if self.init_std <= self.min_std:
            raise ValueError(f"`init_std` ({self.init_std}) must be larger than `min_std` ({self.min_std})")
        return self


class GaussianMixtureOptions(GaussianOptions):
    """Each unit looks at the features through several Gaussian windows, for units that look at several places."""

    num_gaussians: int = Field(2, ge=1, description="windows per unit")
    init_mean_scale: float = Field(
        0.3, ge=0, description="standard deviation of the centres at the start, around the middle; cut off at the edges"
    )
    shared_features: bool = Field(
        True, description="all windows of a unit weigh the channels alike; without it each has weights of its own"
    )

    @model_validator(mode="after")
    def _apart(self) -> GaussianMixtureOptions:
        if self.init_mean_scale == 0 and self.num_gaussians > 1:
            raise ValueError("`init_mean_scale` must be more than 0: windows that start alike stay alike")
        return self


class FactorizedOptions(Options):
    """Each unit has a free mask in space, and weighs the channels."""

    nonnegative: bool = Field(False, description="the mask is the magnitude of its weights, so that no pixel subtracts")
    init_noise: float = Field(
        0.1, ge=0, description="standard deviation of the noise on the masks at the start, in parts of their mean"
    )


class PooledOptions(Options):
    """Each unit weighs the channels, averaged over space."""
