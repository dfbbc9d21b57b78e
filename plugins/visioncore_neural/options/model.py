"""What a user may write for the models of neural recordings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from visioncore_engine.options import Choice, Options, Slot

__all__ = ["EncoderOptions"]


class EncoderOptions(Options):
    """Adapter per recording, one shared core, modulator, recurrent layers, readout per recording, positive rates."""

    adapter: Annotated[Choice | None, Slot("adapter")] = Field(
        None, description="brings each recording's frames to the shape that all share; none where they share it already"
    )
    core: Annotated[tuple[Choice, ...], Slot("stage", many=True)] = Field(
        (), description="stages that all recordings share, first to last"
    )
    modulator: Annotated[Choice | None, Slot("modulator")] = Field(
        None, description="changes the features by side inputs such as behavior"
    )
    recurrent: Annotated[tuple[Choice, ...], Slot("stage", many=True)] = Field(
        (), description="stages after the modulator, first to last"
    )
    readout: Annotated[Choice, Slot("readout", default=("gaussian",))] = Field(
        description="head of each recording: features to units"
    )
    activation: Literal["softplus", "exp", "elu1"] = Field(
        "softplus", description="makes rates positive: softplus, exp, or ELU + 1"
    )
    sharpness: float | None = Field(
        None, gt=0, description="softplus only: s in softplus(s x) / s, the larger the sharper; by default 1"
    )

    @model_validator(mode="after")
    def _sharpness_has_a_use(self) -> EncoderOptions:
        if self.sharpness is not None and self.activation != "softplus":
            raise ValueError(f"`sharpness` belongs to activation 'softplus', not to {self.activation!r}")
        return self
