"""Options of the benchmarks' own components."""

from __future__ import annotations

from pydantic import Field

from visioncore_engine.options import Options

__all__ = ["BusyOptions", "DeadlineOptions", "PerceptronOptions", "RowsOptions"]


class RowsOptions(Options):
    """Rows of noise."""

    num_items: int = Field(4096, ge=1, description="training rows")
    inputs: int = Field(32, ge=1, description="values of a row")
    outputs: int = Field(20, ge=1, description="targets of a row")


class PerceptronOptions(Options):
    """Three layers."""

    width: int = Field(64, ge=1, description="features of the hidden layers")


class BusyOptions(Options):
    """A callback with five hooks."""

    scalars: int = Field(0, ge=0, description="values that are logged in every step")


class DeadlineOptions(Options):
    """Ends a run at a score."""

    target: float = Field(description="score of the run's monitor that is enough")
