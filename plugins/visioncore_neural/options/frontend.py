"""What a user may write for frontends without learned filters: a fixed temporal basis, dynamical adaptation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from visioncore_engine.options import Options

__all__ = ["DynamicalAdaptationOptions", "TemporalBasisOptions"]

Milliseconds = Annotated[float, Field(gt=0)]


class TemporalBasisOptions(Options):
    """A fixed temporal basis at every pixel: single frames, then raised cosines that widen with the lag."""

    kernel_size: int = Field(16, ge=1, description="frames that the basis spans")
    num_deltas: int = Field(0, ge=0, description="copies of single frames, newest first")
    num_cosines: int = Field(6, ge=0, description="raised cosines")
    peaks_ms: tuple[Milliseconds, Milliseconds] = Field(
        (10.0, 150.0), description="lags in milliseconds at which the first and the last cosine peak"
    )
    spacing: Literal["log", "linear"] = Field(
        "log", description="whether cosines are evenly spaced on log(lag + offset_ms), or on the lag itself"
    )
    offset_ms: float = Field(10.0, gt=0, description="log spacing only: the larger, the more alike the widths")
    normalize: Literal["none", "sum", "norm"] = Field(
        "norm", description="brings each function to sum 1, or to Euclidean norm 1, or leaves cosines at height 1"
    )
    orthogonalize: bool = Field(False, description="make the functions orthogonal, first to last; needs norm 1")

    @model_validator(mode="after")
    def _consistent(self) -> TemporalBasisOptions:
        if self.num_deltas + self.num_cosines == 0:
            raise ValueError("a basis needs a function: raise `num_deltas` or `num_cosines`")
        if self.num_deltas + self.num_cosines > self.kernel_size:
            raise ValueError(f"{self.kernel_size} frames hold no more than {self.kernel_size} independent functions")
        if self.peaks_ms[0] >= self.peaks_ms[1] and self.num_cosines > 1:
            raise ValueError("`peaks_ms` must rise")
        if self.orthogonalize and self.normalize != "norm":
            raise ValueError("`orthogonalize` needs `normalize: norm`")
        return self


class DynamicalAdaptationOptions(Options):
    """Gain control by the recent past: a fast response divided by a slow one (Clark et al., 2013)."""

    kernel_size: int = Field(32, ge=2, description="frames that the filters span")
    offset: float = Field(
        0.5, description="added to the input: intensities must not be negative, and those that are count as 0"
    )
    alpha: float = Field(1.0, gt=0, description="gain of the fast response")
    beta: float = Field(0.4, gt=0, description="strength of the division by the slow response")
    gamma: float = Field(0.2, gt=0, lt=1, description="part of the fast filter in the slow one")
    tau_y_ms: float = Field(5.0, gt=0, description="time constant of the fast filter in milliseconds")
    tau_z_ms: float = Field(60.0, gt=0, description="time constant of the slow filter in milliseconds")
    order_y: float = Field(4.0, ge=0, description="exponent of the lag in the fast filter")
    order_z: float = Field(1.0, ge=0, description="exponent of the lag in the slow filter")
    learn: bool = Field(True, description="learn alpha, beta, gamma and both time constants")
