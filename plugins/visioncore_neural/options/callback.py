"""What a user may write for callbacks."""

from __future__ import annotations

from pydantic import Field

from visioncore_engine.options import Options

__all__ = ["ModelLoggingOptions"]


class ModelLoggingOptions(Options):
    """Pictures of kernels and masks while a model learns."""

    every: int = Field(5, ge=1, description="validations from one picture to the next")
    num_units: int = Field(12, ge=1, description="masks that are shown of each recording, from its first unit on")
