"""What a user may write for metrics."""

from __future__ import annotations

from pydantic import Field

from visioncore_engine.options import Options

__all__ = ["AccuracyOptions"]


class AccuracyOptions(Options):
    """Part of the labelled examples whose largest output is the label."""

    task: str = Field("", description="task that is scored; by default the only one with classes")
