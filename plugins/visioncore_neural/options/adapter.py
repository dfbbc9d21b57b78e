"""What a user may write for adapters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from visioncore_engine.options import Options

__all__ = ["AffineOptions"]

Size = Annotated[int, Field(ge=1)]


class AffineOptions(Options):
    """Gaussian blur and affine resampling, both learned, one of each per recording."""

    grid_size: Size | tuple[Size, Size] = Field(
        description="pixels of the output, [height, width]; one number serves every axis that has more than one pixel"
    )
    transform: Literal["scale", "affine"] = Field(
        "affine", description="what is learned: a scale per axis, or all six numbers of an affine map"
    )
    init_scale: float = Field(
        1.0, gt=0, description="part of the frame that the grid spans at the start; 1 samples the whole frame"
    )
    init_sigma: float = Field(0.5, gt=0, description="standard deviation of the blur at the start, in input pixels")
    blur_size: int = Field(7, ge=1, description="odd size of the blur kernel in input pixels; 1 switches the blur off")
    compat: Literal["none", "visioncore"] = Field(
        "none",
        description="'visioncore' is for imported weights: the blur of VisionCore's adapter, whose kernel has an even "
        "size that follows from its width, shifts the picture by a pixel, and sees zeros beyond the border",
    )

    @model_validator(mode="after")
    def _odd(self) -> AffineOptions:
        if self.blur_size % 2 == 0:
            raise ValueError("`blur_size` must be odd: an even kernel shifts the picture by half a pixel")
        if self.compat != "none" and self.blur_size == 1:
            raise ValueError("`blur_size: 1` switches the blur off, and `compat: visioncore` is a blur")
        return self
