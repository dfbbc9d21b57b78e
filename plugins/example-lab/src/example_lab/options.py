"""What a run file may write for the components of this package. Imports no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from visioncore_engine.options import (
    Choice,
    LossOptions,
    OptimizerOptions,
    Options,
    Patterns,
    RegularizerOptions,
    SamplerOptions,
    Slot,
)

__all__ = [
    "AreaPoolOptions",
    "BootstrapOptions",
    "ContrastJitterOptions",
    "CsvSheetOptions",
    "DetachedOptions",
    "DivisiveOptions",
    "FactorizedOptions",
    "HuberOptions",
    "LinearOptions",
    "LionOptions",
    "OrthogonalOptions",
    "ResidualsOptions",
    "ScalarGainOptions",
    "ScoreboardOptions",
    "SheetsOptions",
    "StatusOptions",
    "TrapezoidOptions",
    "ZScoreOptions",
]


class SheetsOptions(Options):
    """Options of the dataset `sheets`."""

    folder: str = Field(min_length=1, description="folder that holds the files")
    files: Patterns = Field(("*.csv",), description="files in it, by shell-style pattern; each becomes a group")
    predict: Patterns = Field(description="columns that are predicted; all others are inputs")
    split: str = Field("split", min_length=1, description="column that says 0 training, 1 validation, 2 test")
    reader: Annotated[Choice, Slot("reader", default=("csv_sheet",))] = Field(description="how one file is read")
    prepare: Annotated[tuple[Choice, ...], Slot("preparation", many=True)] = Field(
        (), description="preparations, in order; fitted on training rows only"
    )


class CsvSheetOptions(Options):
    """Options of the reader `csv_sheet`."""

    delimiter: str = Field(",", min_length=1, max_length=1, description="what stands between two cells")
    missing: tuple[str, ...] = Field(("", "NA", "NaN"), description="cells that hold no number")


class ZScoreOptions(Options):
    """Options of the preparation `z_score`."""

    of: Patterns = Field(("*",), description="columns, by shell-style pattern; each pattern must match one")


class BootstrapOptions(SamplerOptions):
    """Options of the sampler `bootstrap`."""

    power: float = Field(
        1.0, ge=0, le=4, description="1 draws every valid prediction alike, 0 every window that has any"
    )


class ContrastJitterOptions(Options):
    """Options of the transform `contrast_jitter`."""

    max_factor: float = Field(1.5, gt=1, le=10, description="bound on the factor, and on its inverse")


class LinearOptions(Options):
    """Options of the model `linear`."""

    bias: bool = Field(True, description="add a constant to each output; it starts at the mean of the training values")


class AreaPoolOptions(Options):
    """Options of the adapter `area_pool`."""

    grid_size: int = Field(16, ge=1, description="pixels along each side of what comes out")


class DivisiveOptions(Options):
    """Options of the stage `divisive`."""

    sigma: float = Field(1.0, gt=0, description="semi-saturation constant of each channel at the start")


class ScalarGainOptions(Options):
    """Options of the modulator `scalar_gain`."""

    side: str = Field("behavior", min_length=1, description="side input that the gain follows")
    max_gain: float = Field(4.0, gt=1, description="bound on the gain, and on its inverse")


class FactorizedOptions(Options):
    """Options of the readout `factorized`."""

    init_std: float = Field(0.01, gt=0, description="spread of the weights at the start, in space and over channels")


class HuberOptions(LossOptions):
    """Options of the loss `huber`."""

    delta: float = Field(1.0, gt=0, description="error from which on the loss grows straight")


class ResidualsOptions(Options):
    """Options of the evaluator `residuals`."""

    table: str = Field("residuals", pattern=r"^[\w-]+$", description="name of the table")


class OrthogonalOptions(RegularizerOptions):
    """Options of the regularizer `orthogonal`."""

    normalize: bool = Field(True, description="compare directions only; otherwise filters are drawn to unit norm too")


class LionOptions(OptimizerOptions):
    """Options of the optimizer `lion`."""

    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.99), description="share of the average in the direction of a step, and in the next average"
    )


class TrapezoidOptions(Options):
    """Options of the scheduler `trapezoid`."""

    warmup_steps: int = Field(0, ge=0, description="optimizer steps of the straight way up from 0")
    cooldown: float = Field(0.2, ge=0, le=1, description="part of the run that the straight way down to 0 takes")


class ScoreboardOptions(Options):
    """Options of the callback `scoreboard`."""

    file: str = Field("scoreboard.csv", pattern=r"^[\w.-]+\.csv$", description="name of the file in the run folder")


class StatusOptions(Options):
    """Options of the logger `status`."""

    file: str = Field("status.json", pattern=r"^[\w.-]+\.json$", description="name of the file in the run folder")


class DetachedOptions(Options):
    """Options of the launcher `detached`."""

    output: str = Field("output.txt", pattern=r"^[\w.-]+$", description="file in the run folder for what it prints")
