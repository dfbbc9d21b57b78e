"""What a user may write for transforms."""

from __future__ import annotations

from pydantic import Field, model_validator

from visioncore_engine.options import Options

__all__ = ["ShiftOptions"]


class ShiftOptions(Options):
    """Shift each training example by whole pixels, the border repeated."""

    rows: int = Field(2, ge=0, description="largest shift up or down, in pixels")
    columns: int = Field(2, ge=0, description="largest shift left or right, in pixels")

    @model_validator(mode="after")
    def _moves(self) -> ShiftOptions:
        if self.rows == 0 and self.columns == 0:
            raise ValueError("nothing would move: set `rows` or `columns`, or leave the transform out")
        return self
