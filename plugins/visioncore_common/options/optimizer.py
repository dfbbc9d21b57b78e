"""What a user may write for optimizers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from visioncore_engine.options import OptimizerOptions

__all__ = ["AdamWOptions", "SGDOptions"]

_Beta = Annotated[float, Field(ge=0, lt=1)]


class AdamWOptions(OptimizerOptions):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    betas: tuple[_Beta, _Beta] = Field((0.9, 0.999), description="decay of the running mean and of the mean square")
    eps: float = Field(1e-8, gt=0, description="added to the root of the mean square")
    amsgrad: bool = Field(False, description="divide by the largest mean square so far")


class SGDOptions(OptimizerOptions):
    """Stochastic gradient descent with momentum."""

    momentum: float = Field(0.9, ge=0, lt=1, description="share of the last step that is kept")
    nesterov: bool = Field(False, description="look ahead along the momentum")

    @model_validator(mode="after")
    def _has_momentum(self) -> SGDOptions:
        if self.nesterov and self.momentum == 0:
            raise ValueError("`nesterov` looks ahead along the momentum: set `momentum` > 0")
        return self
