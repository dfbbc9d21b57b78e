"""Options of the datasets."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from visioncore_engine.options import Choice, Options, Patterns, Slot

__all__ = ["RecordingsOptions", "SessionsOptions", "SplitOptions", "SyntheticOptions", "WindowOptions"]


class WindowOptions(Options):
    """What one sample is."""

    history: Literal["auto"] | Annotated[int, Field(ge=0)] = Field(
        "auto",
        description="input frames before the first predicted one; 'auto' is what the model needs, and never less",
    )
    length: int = Field(1, ge=1, description="predicted frames in a window; a longer one shares its history")


class SplitOptions(Options):
    """How frames are split where a recording does not say so itself."""

    by: Literal["trials", "blocks"] = Field(
        "trials", description="what stays together: whole trials, or blocks of time"
    )
    fractions: tuple[float, float, float] = Field(
        (0.8, 0.1, 0.1), description="shares of train, validation and test; they sum to 1"
    )
    block: float = Field(10.0, gt=0, description="length of a block in seconds")
    seed: int = Field(0, ge=0, lt=2**32, description="decides the draw, together with the session's name")

    @model_validator(mode="after")
    def _sum_to_one(self) -> SplitOptions:
        if (
            min(self.fractions) < 0
            or self.fractions[0] == 0
            or not math.isclose(sum(self.fractions), 1.0, abs_tol=1e-6)
        ):
            raise ValueError(
                f"`fractions` must be >= 0, with some training, and sum to 1; the sum is {sum(self.fractions):g}"
            )
        return self


class RecordingsOptions(Options):
    """Options of every dataset of recordings."""

    window: WindowOptions = Field(default_factory=WindowOptions, description="what one sample is")
    prepare: Annotated[tuple[Choice, ...], Slot("preparation", many=True)] = Field(
        (), description="preparations, in order; fitted on training frames only"
    )
    units: Patterns = Field(
        ("*",), description="which units: patterns over `<session>/<unit id>`; each must match at least one"
    )
    side: tuple[Literal["behavior", "eyepos", "previous_responses"], ...] | None = Field(
        None,
        description="side inputs that every session must have; by default `behavior` where all sessions have it. "
        "`previous_responses` is made of the responses: in a frame stands what was counted in the frame before",
    )
    max_frames: int | None = Field(
        None, ge=1, description="predicted frames that each session gives to each split at most, the first ones in time"
    )


class SessionsOptions(RecordingsOptions):
    """Recordings from disk."""

    root: str = Field("", description="folder that session names are relative to; by default $VISIONCORE_DATA")
    sessions: Patterns = Field(("*",), description="sessions: paths below `root`, or shell-style patterns of paths")
    reader: Annotated[Choice, Slot("reader", default=("folder",))] = Field(description="how one session is read")
    split: SplitOptions = Field(
        default_factory=SplitOptions, description="how frames are split where a recording does not say so itself"
    )


class SyntheticOptions(RecordingsOptions):
    """Simulated recordings whose receptive fields, delays and rates are known."""

    num_sessions: int = Field(3, ge=1, le=200, description="sessions")
    num_subjects: int = Field(2, ge=1, le=26, description="subjects; they take turns, so sessions >= subjects")
    num_units: int = Field(24, ge=1, le=2000, description="units in each session; every second one is an energy unit")
    duration: float = Field(600.0, gt=0, description="seconds of stimulus per session that are shown once")
    dt: float = Field(
        1 / 30, gt=0, le=0.06, description="seconds per frame; longer ones would skip responses, which turn after 60 ms"
    )
    size: int = Field(20, ge=12, le=128, description="height and width of the stimulus in pixels")
    stimulus: Literal["natural_like", "noise"] = Field(
        "natural_like", description="images with a 1/f spectrum under a moving eye, or white noise"
    )
    fixation: float = Field(0.15, gt=0, description="mean seconds between two images")
    eye_drift: float = Field(1.0, ge=0, description="drift of the eye in degrees per square root of a second")
    behavior_channels: int = Field(2, ge=0, le=64, description="channels of behavior that scale the rates; 0 for none")
    behavior_gain: float = Field(0.25, ge=0, le=2, description="spread of a unit's log gain due to behavior")
    min_rate: float = Field(2.0, gt=0, description="lowest mean rate of a unit, spikes per second")
    max_rate: float = Field(20.0, gt=0, description="highest mean rate of a unit, spikes per second")
    invalid: float = Field(0.12, ge=0, lt=0.9, description="share of frames whose responses are artefacts, masked")
    trial: float = Field(10.0, gt=0, description="seconds in a trial")
    num_repeats: int = Field(8, ge=0, description="presentations of the two repeated clips, each one trial long")
    seed: int | None = Field(None, ge=0, lt=2**32, description="decides everything drawn; by default the run's seed")

    @model_validator(mode="after")
    def _consistent(self) -> SyntheticOptions:
        if self.num_subjects > self.num_sessions:
            raise ValueError(f"`num_subjects` ({self.num_subjects}) is more than `num_sessions` ({self.num_sessions})")
        if self.max_rate < self.min_rate:
            raise ValueError(f"`max_rate` ({self.max_rate:g}) is less than `min_rate` ({self.min_rate:g})")
        if self.trial < 20 * self.dt:
            raise ValueError(f"`trial` ({self.trial:g} s) must last at least 20 frames of `dt` ({self.dt:g} s)")
        if self.duration < 10 * self.trial:
            raise ValueError(f"`duration` ({self.duration:g} s) must hold at least 10 trials of {self.trial:g} s")
        return self
