"""What the parts of a tiny run may be told."""

from __future__ import annotations

from pydantic import Field

from visioncore_engine.options import Options

__all__ = ["TinyCutOptions"]


class TinyCutOptions(Options):
    """Where the run ends."""

    at: int | None = Field(None, ge=0, description="optimizer step before which the run is cut off")
