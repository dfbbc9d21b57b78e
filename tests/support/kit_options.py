"""Options of the plugin for tests of the test kit."""

from __future__ import annotations

from pydantic import Field

from visioncore_engine.options import Options


class HalvingOptions(Options):
    patience: int = Field(1, ge=0, description="validations without improvement that are put up with")
