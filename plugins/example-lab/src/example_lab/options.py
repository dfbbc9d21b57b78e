"""What a run file may write for the components of this package. Imports no torch."""

from __future__ import annotations

from pydantic import Field

from visioncore_engine.options import Options, RegularizerOptions, SamplerOptions

__all__ = ["BootstrapOptions", "OrthogonalOptions", "ScalarGainOptions", "ScoreboardOptions", "TrapezoidOptions"]


class BootstrapOptions(SamplerOptions):
    """Options of the sampler `bootstrap`."""

    power: float = Field(
        1.0, ge=0, le=4, description="1 draws every valid prediction alike, 0 every window that has any"
    )


class OrthogonalOptions(RegularizerOptions):
    """Options of the regularizer `orthogonal`."""

    normalize: bool = Field(True, description="compare directions only; otherwise filters are drawn to unit norm too")


class ScalarGainOptions(Options):
    """Options of the modulator `scalar_gain`."""

    side: str = Field("behavior", min_length=1, description="side input that the gain follows")
    max_gain: float = Field(4.0, gt=1, description="bound on the gain, and on its inverse")


class TrapezoidOptions(Options):
    """Options of the scheduler `trapezoid`."""

    warmup_steps: int = Field(0, ge=0, description="optimizer steps of the straight way up from 0")
    cooldown: float = Field(0.2, ge=0, le=1, description="part of the run that the straight way down to 0 takes")


class ScoreboardOptions(Options):
    """Options of the callback `scoreboard`."""

    file: str = Field("scoreboard.csv", pattern=r"^[\w.-]+\.csv$", description="name of the file in the run folder")
