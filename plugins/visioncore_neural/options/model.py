"""What a user may write for the models of neural recordings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from visioncore_engine.options import Choice, Options, Patterns, Slot

__all__ = ["EncoderOptions", "GLMOptions", "HistoryOptions", "LNOptions", "RateOptions"]

Count = Annotated[int, Field(ge=1)]


class HistoryOptions(Options):
    """A perceptron from the responses of a recording's units in the frames before to the drive of each unit.

    It needs the side input ``previous_responses`` of the data. It starts at 0.
    """

    num_lags: int = Field(5, ge=1, description="frames that it sees, the last one the frame before the predicted one")
    hidden: tuple[Count, ...] = Field((32,), description="hidden layers; none makes it linear")
    activation: Literal["relu", "elu", "gelu", "silu", "softplus"] = Field(
        "elu", description="nonlinearity of the hidden layers"
    )
    spectral_norm: bool = Field(
        False, description="keep the largest singular value of each layer's weights at 1 or below"
    )


class RateOptions(Options):
    """Options of every model that makes rates from the drive of units."""

    activation: Literal["softplus", "exp", "elu1", "sigmoid"] = Field(
        "softplus",
        description="makes rates positive: softplus; exp (the drive is the log-rate, which the Poisson loss then takes "
        "as it is); ELU + 1; or sigmoid (below 1; the drive is the logit, which the Bernoulli loss takes as it is)",
    )
    sharpness: float | None = Field(
        None, gt=0, description="softplus only: s in softplus(s x) / s, the larger the sharper; by default 1"
    )
    baseline: float | None = Field(
        None, gt=0, description="learn a rate per unit that is added to all of its rates, from this value per frame on"
    )
    dispersion: float | None = Field(
        None,
        gt=0,
        description="learn a dispersion per unit for the negative binomial loss, from this value on; no other loss "
        "takes it",
    )

    @model_validator(mode="after")
    def _sharpness_has_a_use(self) -> RateOptions:
        if self.sharpness is not None and self.activation != "softplus":
            raise ValueError(f"`sharpness` belongs to activation 'softplus', not to {self.activation!r}")
        return self

    @model_validator(mode="after")
    def _probabilities_stay_below_one(self) -> RateOptions:
        if self.activation == "sigmoid" and self.baseline is not None:
            raise ValueError("a `baseline` would lift the probabilities of activation 'sigmoid' above 1")
        return self


class EncoderOptions(RateOptions):
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
    history: HistoryOptions | None = Field(None, description="let the rates depend on the responses in frames before")
    stimulus: bool = Field(
        True, description="false makes a model of side inputs alone: the stimulus is neither read nor moved"
    )

    expose: Patterns = Field(
        (),
        description="parts whose features stand among the outputs, as `features/<part>`, where regularizers of outputs "
        "such as `activity` can name them: patterns over `core.0`, `core.1`, …, `modulator`, `recurrent.0`, …; a core "
        "that is looked into is not compiled",
    )

    @model_validator(mode="after")
    def _blind(self) -> EncoderOptions:
        if not self.stimulus:
            if self.adapter is not None or self.core:
                raise ValueError("`stimulus: false` leaves nothing for `adapter` and `core` to see; leave them out")
            if self.modulator is None and self.history is None:
                raise ValueError(
                    "`stimulus: false` needs a `modulator` or `history`: rates would not depend on anything"
                )
        return self


class LNOptions(RateOptions):
    """A linear filter per unit over the last frames, and a nonlinearity: the baseline of every deeper model."""

    num_frames: int = Field(16, ge=1, description="frames that a filter sees")
    rank: int | None = Field(
        None, ge=1, description="filters are sums of so many products of a picture and a time course; by default free"
    )


class GLMOptions(LNOptions):
    """Linear filters per unit over the last frames, side inputs and earlier responses, and a nonlinearity."""

    inputs: tuple[str, ...] = Field((), description="side inputs of the predicted frame, e.g. behavior")
    num_lags: int = Field(
        10, ge=0, description="responses in so many frames before; more than 0 needs the side input previous_responses"
    )
    coupled: bool = Field(
        False, description="a unit sees the responses of all units of its recording, not only its own"
    )
