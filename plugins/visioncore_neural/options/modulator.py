"""What a user may write for modulators."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from visioncore_engine.options import Options

__all__ = ["ConcatOptions", "FilmOptions", "SideOptions"]

Count = Annotated[int, Field(ge=1)]


class SideOptions(Options):
    """Options that every modulator with a perceptron over side inputs has."""

    inputs: tuple[str, ...] = Field(("behavior",), min_length=1, description="names of the side inputs, concatenated")
    hidden: tuple[Count, ...] = Field((64,), description="hidden layers of the perceptron over the side inputs")
    activation: Literal["relu", "elu", "gelu", "silu", "softplus"] = Field(
        "gelu", description="nonlinearity of the hidden layers"
    )


class FilmOptions(SideOptions):
    """Scale and shift of every channel by the side inputs; exactly the identity at the start."""


class ConcatOptions(SideOptions):
    """An embedding of the side inputs, the same at every pixel, appended to the channels."""

    num_channels: int = Field(16, ge=1, description="channels that are appended")
