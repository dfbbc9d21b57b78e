"""What a user may write for models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from visioncore_engine.options import Options

__all__ = ["CNNOptions"]

_Count = Annotated[int, Field(ge=1)]


class CNNOptions(Options):
    """A small convolutional network for single examples, with a linear head per group."""

    channels: tuple[_Count, ...] = Field(
        (32, 64, 128, 128), min_length=1, description="channels of each block; every block halves the image"
    )
    kernel_size: int = Field(3, ge=1, description="side of the kernels, an odd number")
    norm: Literal["group", "none"] = Field(
        "group", description="normalise each example over groups of channels; batch statistics would depend on the cut"
    )
    pooling: Literal["max", "average"] = Field("max", description="how a block halves the image")
    grid: tuple[_Count, _Count] = Field(
        (2, 2), description="rows and columns that the last features are averaged to before the heads"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="part of the features before the heads that is dropped")

    @field_validator("kernel_size")
    @classmethod
    def _odd(cls, kernel_size: int) -> int:
        if kernel_size % 2 == 0:
            raise ValueError("an even kernel shifts the image by half a pixel: write an odd number")
        return kernel_size
