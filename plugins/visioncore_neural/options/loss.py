"""What a user may write for losses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from visioncore_engine.options import LossOptions

__all__ = ["BernoulliOptions", "GaussianOptions", "NegativeBinomialOptions", "PoissonOptions", "ResponseLossOptions"]


class ResponseLossOptions(LossOptions):
    """Options of every loss of responses."""

    unit_weights: Literal["alike", "inverse_rate"] = Field(
        "alike",
        description="factor on each unit, on top of `weighting`: 1, or 1 / max(mean training response, rate_floor)",
    )
    rate_floor: float = Field(
        0.01, gt=0, description="least mean response, per frame, that a unit is taken to have where it divides"
    )


class PoissonOptions(ResponseLossOptions):
    """Poisson negative log-likelihood of the counts, without the term that does not depend on the rates."""

    eps: float = Field(1e-8, ge=0, description="added to the rate inside the logarithm")


class GaussianOptions(ResponseLossOptions):
    """Squared error, over a variance per unit that is not learned."""

    variance: Literal["one", "mean"] = Field(
        "one",
        description="what divides the squared error of a unit: 1 (mean squared error), or its mean training response",
    )


class BernoulliOptions(ResponseLossOptions):
    """Bernoulli negative log-likelihood of whether there was a response."""

    eps: float = Field(1e-8, ge=0, description="added to the rate inside the logarithm")


class NegativeBinomialOptions(ResponseLossOptions):
    """Negative binomial negative log-likelihood of counts whose variance grows beyond their mean."""

    dispersion: float = Field(
        0.1, gt=0, description="a in the variance r + a r² of a count of mean r, where the model does not learn it"
    )
    eps: float = Field(1e-8, ge=0, description="added to the rate inside the logarithm")
