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
    radius: float = Field(
        5.0, gt=0, description="pixels around a field's strongest region that its centre of mass is taken over"
    )
