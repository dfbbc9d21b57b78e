"""What a user may write for metrics."""

from __future__ import annotations

from pydantic import Field

from visioncore_engine.options import Options

__all__ = ["BitsPerSpikeOptions"]


class BitsPerSpikeOptions(Options):
    """Information that the predicted rates carry about the spikes, beyond each unit's mean rate."""

    eps: float = Field(1e-8, ge=0, description="added to the predicted rate inside the logarithm")
