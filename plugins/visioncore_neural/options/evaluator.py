"""What a user may write for evaluators of neural recordings."""

from __future__ import annotations

from pydantic import Field

from visioncore_engine.options import Options

__all__ = ["GroundTruthOptions"]


class GroundTruthOptions(Options):
    """How receptive fields are recovered from a trained model of simulated data."""

    num_predictions: int = Field(
        200, ge=1, description="held-out predictions of each session at which the model is differentiated"
    )
    smoothing: float = Field(
        1.0, ge=0, description="standard deviation in pixels by which derivatives are smoothed before they are squared"
    )
    width: float = Field(
        2.5, gt=0, description="standard deviation in pixels of the window that a centre of mass is taken under"
    )
