"""Options of the preparations."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from visioncore_engine.options import Options, Patterns
from visioncore_neural.options.frontend import TemporalBasisOptions

__all__ = [
    "ArrayOptions",
    "DifferenceOptions",
    "DownsampleOptions",
    "MaxNormOptions",
    "MissingOptions",
    "PixelNormOptions",
    "SelectUnitsOptions",
    "SideBasisOptions",
    "SmoothOptions",
    "SplitReLUOptions",
    "StandardizeOptions",
    "SymlogOptions",
    "VelocityOptions",
    "WhiteningOptions",
]


class ArrayOptions(Options):
    """Which array is changed."""

    of: Literal["stim", "behavior", "eyepos"] = Field("behavior", description="array that is changed")
    channels: Patterns = Field(
        ("*",), description="which channels of behavior: patterns over their names; each must match at least one"
    )

    @model_validator(mode="after")
    def _channels_have_names(self) -> ArrayOptions:
        if self.channels != ("*",) and self.of != "behavior":
            raise ValueError(f"`channels` belongs to `of: behavior`: channels of {self.of} have no names")
        return self


class PixelNormOptions(Options):
    """Grey levels to values around zero: ``(pixel - center) / range``."""

    center: float = Field(127.0, description="grey level that becomes 0")
    range: float = Field(255.0, gt=0, description="grey levels that become a difference of 1")


class StandardizeOptions(Options):
    """Mean 0 and standard deviation 1 over the training frames."""

    of: tuple[Literal["stim", "behavior", "eyepos"], ...] = Field(
        ("stim",), min_length=1, description="arrays; each stimulus channel and each behavior or eye channel by itself"
    )


class MaxNormOptions(ArrayOptions):
    """Each channel divided by the largest magnitude that it has in the training frames."""


class SymlogOptions(ArrayOptions):
    """``sign(x) log(1 + |x|)``: large values shrink, signs stay."""


class DifferenceOptions(ArrayOptions):
    """Difference to the frame before, in place of the values."""


class SmoothOptions(ArrayOptions):
    """Gaussian running mean over frames that exist, within trials."""

    sigma_ms: float = Field(gt=0, description="standard deviation of the Gaussian in milliseconds")
    causal: bool = Field(
        description="whether a frame sees itself and earlier frames alone (half a Gaussian), or later ones too"
    )
    reach: float = Field(4.0, gt=0, le=10, description="standard deviations at which the Gaussian is cut off")


class VelocityOptions(Options):
    """Change of the eye position or of behavior from frame to frame, as further behavior channels."""

    of: Literal["eyepos", "behavior"] = Field("eyepos", description="what is differentiated")


class SideBasisOptions(TemporalBasisOptions):
    """The recent past of a side input under a temporal basis, as behavior channels."""

    of: Literal["behavior", "eyepos"] = Field(
        "behavior", description="what is filtered; behavior channels are replaced, those of the eye position are added"
    )
    channels: Patterns = Field(
        ("*",), description="which channels, by patterns over their names; each must match at least one"
    )
    acausal: bool = Field(
        False,
        description="add a mirrored copy of each function that sees the frames to come (of the same trial and split)",
    )


class SplitReLUOptions(Options):
    """``relu(x)`` and ``relu(-x)`` of behavior channels, as two channels each."""

    channels: Patterns = Field(
        ("*",), description="which channels, by patterns over their names; each must match at least one"
    )


class WhiteningOptions(Options):
    """Spatial frequencies of every frame times ``f exp(-(f / f_0) ** n)``."""

    f_0: float = Field(0.4, gt=0, description="frequency in cycles per pixel beyond which pictures are blurred")
    n: float = Field(4.0, gt=0, description="steepness of the blur")


class DownsampleOptions(Options):
    """So many frames become one. Counts are summed, rates averaged."""

    factor: int = Field(ge=2, description="frames that become one")
    stim: Literal["first", "last", "mean"] = Field("first", description="stimulus of a new frame")
    behavior: Literal["first", "last", "mean"] = Field("mean", description="behavior of a new frame")
    eyepos: Literal["first", "last", "mean"] = Field("mean", description="eye position of a new frame")
    valid: Literal["all", "any"] = Field(
        "all",
        description="whether a response counts where all responses that it is made of count, or where any of them "
        "does (those that do not are left out, so that a count is then too small)",
    )


class SelectUnitsOptions(Options):
    """Keep units by id, by a table of them, or both."""

    ids: dict[str, tuple[str, ...]] | None = Field(
        None, description="unit ids to keep, by session; a session that is not named, or an unknown id, is an error"
    )
    table: str | None = Field(
        None,
        description="CSV file with a row per unit: `session`, `unit`, and columns of numbers such as a quality. "
        "A unit without a row is an error",
    )
    at_least: dict[str, float] = Field(default_factory=dict, description="columns of `table` and their lowest value")
    at_most: dict[str, float] = Field(default_factory=dict, description="columns of `table` and their highest value")

    @model_validator(mode="after")
    def _bounds_have_a_table(self) -> SelectUnitsOptions:
        bounds = bool(self.at_least or self.at_most)
        if bounds != (self.table is not None):
            raise ValueError("`table` needs a bound (`at_least`, `at_most`), and a bound needs `table`")
        return self


class MissingOptions(Options):
    """Responses do not count where a spike sorter misses too many spikes of a unit."""

    table: str = Field(
        description="CSV file with `session`, `unit`, `start`, `stop` (frames, `stop` excluded) and `missing_pct`; "
        "frames that no row covers count. A unit without a row is an error"
    )
    threshold: float = Field(45.0, gt=0, le=100, description="percentage from which responses do not count")
