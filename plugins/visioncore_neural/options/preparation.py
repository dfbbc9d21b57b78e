"""Options of the preparations."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from visioncore_engine.options import Options

__all__ = ["PixelNormOptions", "StandardizeOptions", "VelocityOptions"]


class PixelNormOptions(Options):
    """Grey levels to values around zero: ``(pixel - center) / range``."""

    center: float = Field(127.0, description="grey level that becomes 0")
    range: float = Field(255.0, gt=0, description="grey levels that become a difference of 1")


class StandardizeOptions(Options):
    """Mean 0 and standard deviation 1 over the training frames."""

    of: tuple[Literal["stim", "behavior", "eyepos"], ...] = Field(
        ("stim",), min_length=1, description="arrays; each stimulus channel and each behavior or eye channel by itself"
    )


class VelocityOptions(Options):
    """Change of the eye position or of behavior from frame to frame, as further behavior channels."""

    of: Literal["eyepos", "behavior"] = Field("eyepos", description="what is differentiated")
