"""What a user may write for losses."""

from __future__ import annotations

from pydantic import Field

from visioncore_engine.options import LossOptions

__all__ = ["PoissonOptions"]


class PoissonOptions(LossOptions):
    """Poisson negative log-likelihood of the counts, without the term that does not depend on the rates."""

    eps: float = Field(1e-8, ge=0, description="added to the rate inside the logarithm")
