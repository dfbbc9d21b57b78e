from __future__ import annotations

from pydantic import Field

from visioncore_engine.options import Options


class ToyWaitOptions(Options):
    at: int | None = Field(None, ge=0, description="step in which to wait")
