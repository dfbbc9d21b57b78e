"""What a user may write for recurrent stages."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from visioncore_engine.options import Options

__all__ = ["ConvGRUOptions", "ConvGRUUnitOptions", "GRUOptions", "LSTMOptions", "RecurrentOptions", "SequenceOptions"]


class RecurrentOptions(Options):
    """Options that all recurrent stages have."""

    hidden_channels: int = Field(32, ge=1, description="channels of the hidden state, and of the output")
    burn_in: int = Field(16, ge=1, description="frames that it runs over before its output is used")
    unroll: Literal["stream", "per_prediction"] = Field(
        "stream",
        description="'stream' carries the state on through the window (fast; a prediction depends on where its window "
        "began), 'per_prediction' starts anew `burn_in` frames before every prediction. Two different models",
    )


class ConvGRUUnitOptions(RecurrentOptions):
    """Options of everything that holds a convolutional gated recurrent unit."""

    kernel_size: int = Field(3, ge=1, description="odd size of the kernels in space; axes with a single pixel get 1")

    @property
    def num_steps(self) -> int | None:
        """Steps that the channels hold; None where frames are steps."""
        return None

    @model_validator(mode="after")
    def _odd(self) -> ConvGRUUnitOptions:
        if self.kernel_size % 2 == 0:
            raise ValueError("`kernel_size` must be odd: an even kernel shifts the picture")
        return self


class ConvGRUOptions(ConvGRUUnitOptions):
    """Convolutional gated recurrent unit over time."""

    compat: Literal["none", "visioncore"] = Field(
        "none",
        description="'visioncore' is for imported weights, behind the stage `visioncore` with `steps: all`: a "
        "prediction runs anew through the `steps` that its channels hold, with the side inputs of the predicted frame "
        "at each; `burn_in` and `unroll` have no part in it",
    )
    steps: int = Field(2, ge=1, description="`compat: visioncore` only: steps that the channels hold")

    @property
    def num_steps(self) -> int | None:
        """Steps that the channels hold."""
        return None if self.compat == "none" else self.steps

    @model_validator(mode="after")
    def _steps_have_a_use(self) -> ConvGRUOptions:
        if self.compat == "none" and self.steps != type(self).model_fields["steps"].default:
            raise ValueError("`steps` belongs to `compat: visioncore`")
        fields = RecurrentOptions.model_fields
        if self.compat != "none" and any(getattr(self, name) != fields[name].default for name in ("burn_in", "unroll")):
            raise ValueError("`compat: visioncore` has no `burn_in` and no `unroll`")
        return self


class SequenceOptions(RecurrentOptions):
    """Options of recurrent layers that see no neighbours."""

    num_layers: int = Field(1, ge=1, description="layers, one on top of the other")
    over: Literal["pixel", "frame"] = Field(
        "pixel",
        description="a unit at every pixel, all with the same weights, or one unit for the whole frame (its output has "
        "a single pixel, and its input weights grow with the size of the frame)",
    )


class GRUOptions(SequenceOptions):
    """Gated recurrent unit over time, at every pixel or over whole frames."""


class LSTMOptions(SequenceOptions):
    """Long short-term memory over time, at every pixel or over whole frames."""
