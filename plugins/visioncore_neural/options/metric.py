"""What a user may write for metrics."""

from __future__ import annotations

from pydantic import Field

from visioncore_engine.options import Options

__all__ = ["BitsPerSpikeOptions", "CCNormOptions", "FEVEOptions"]


class BitsPerSpikeOptions(Options):
    """Information that the predicted rates carry about the spikes, beyond each unit's mean rate."""

    eps: float = Field(1e-8, ge=0, description="added to the predicted rate inside the logarithm")


class FEVEOptions(Options):
    """Fraction of the explainable variance that is explained."""

    min_fev: float = Field(
        0.15, ge=0, lt=1, description="units with a smaller fraction of explainable variance are not scored"
    )


class CCNormOptions(Options):
    """Correlation to the average response, over what a model without error would reach."""

    min_cc_max: float = Field(0.4, ge=0, lt=1, description="units whose CCmax is smaller are not scored")
