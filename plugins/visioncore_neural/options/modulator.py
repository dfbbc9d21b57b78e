"""What a user may write for modulators."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from visioncore_engine.options import Choice, Options, Slot
from visioncore_neural.options.recurrent import ConvGRUOptions, ConvGRUUnitOptions

__all__ = [
    "ChainOptions",
    "ConcatOptions",
    "ConvGRUModulatorOptions",
    "FilmOptions",
    "GainOptions",
    "PredictiveCodingOptions",
    "ShifterOptions",
    "SideOptions",
]

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


class GainOptions(SideOptions):
    """A gain between two bounds by the side inputs, for each channel or for all; exactly the identity at the start."""

    max_gain: float = Field(4.0, gt=1, description="largest gain; the smallest is its inverse")
    per_channel: bool = Field(True, description="a gain for each channel, or one for all")


class ShifterOptions(SideOptions):
    """Every frame of the features shifted by the side inputs; exactly the identity at the start."""

    inputs: tuple[str, ...] = Field(("eyepos",), min_length=1, description="names of the side inputs, concatenated")
    hidden: tuple[Count, ...] = Field((16,), description="hidden layers of the perceptron over the side inputs")
    max_shift: float = Field(0.5, gt=0, le=2, description="largest shift, in half widths and heights of the frame")


class ConvGRUModulatorOptions(SideOptions, ConvGRUOptions):
    """A recurrent unit over the features and an embedding of the side inputs; its state is the output."""

    num_embedding: int = Field(16, ge=1, description="channels of the embedding of the side inputs")


class PredictiveCodingOptions(SideOptions, ConvGRUUnitOptions):
    """What the features before a frame and behavior up to it do not foretell of its features."""

    num_embedding: int = Field(16, ge=1, description="channels of the embedding of the side inputs")

    output: Literal["error", "actual_and_error"] = Field(
        "actual_and_error", description="what is passed on: the error of the prediction, or the features and the error"
    )
    weight: float = Field(
        0.1, ge=0, description="weight of the mean squared error in the loss; it is logged as train/auxiliary"
    )


class ChainOptions(Options):
    """Modulators one after another."""

    parts: Annotated[tuple[Choice, ...], Slot("modulator", many=True)] = Field(
        min_length=1, description="modulators, first to last, e.g. [shifter, film]"
    )
