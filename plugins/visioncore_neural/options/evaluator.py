"""What a user may write for evaluators of neural recordings."""

from __future__ import annotations

from pydantic import Field

from visioncore_engine.options import Options

__all__ = ["GroundTruthOptions", "UnitsOptions"]


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


class UnitsOptions(Options):
    """What stands in the table of units beside the scores."""

    rescale: bool = Field(
        False,
        description="also score rates with a gain and an offset per unit, fitted on other blocks than are scored",
    )
    num_folds: int = Field(5, ge=2, description="shares of the frames that take turns in being scored, with `rescale`")
    num_draws: int = Field(
        0, ge=0, description="draws of a bootstrap over blocks of time for 95 % intervals of each score; 0 for none"
    )
    block: float = Field(10.0, gt=0, description="seconds of a block, for `rescale` and `num_draws`")
