"""What a user may write for evaluators of neural recordings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from visioncore_engine.options import Options

__all__ = [
    "GratingTuningOptions",
    "GroundTruthOptions",
    "QualityOptions",
    "SaccadeTriggeredOptions",
    "SpikeTriggeredAverageOptions",
    "UnitsOptions",
]


class GroundTruthOptions(Options):
    """How receptive fields are recovered from a trained model of simulated data."""

    num_predictions: int = Field(
        200, ge=1, description="held-out predictions of each session at which the model is differentiated"
    )
    smoothing: float = Field(
        1.0, ge=0, description="standard deviation in pixels by which derivatives are smoothed before they are squared"
    )
    width: float = Field(
        2.5, gt=0, description="standard deviation in pixels of the window that a centre of mass is taken under"
    )


class QualityOptions(Options):
    """What is known of units from elsewhere: quality of the sorting, places on the probe, waveforms."""

    table: str | None = Field(
        None,
        description="CSV file with a row per unit: `session`, `unit`, and columns of numbers such as `contamination`, "
        "`missing_pct`, `depth`, `x`, `y`; an empty cell is unknown. A unit without a row is an error",
    )
    columns: tuple[str, ...] = Field(
        (), description="columns of `table` that are taken; by default all but `session` and `unit`"
    )
    waveforms: str | None = Field(
        None,
        description="NPZ file of each session, `{session}` standing for its name: `units` (ids) and `waveforms`, means "
        "of (units, samples) or (units, channels, samples). A unit that it lacks is an error",
    )
    layer_4: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="by session: the least and greatest `depth` of layer 4, as in `table`"
    )

    @model_validator(mode="after")
    def _has_a_file(self) -> QualityOptions:
        if self.table is None and self.waveforms is None:
            raise ValueError("name a file: `table`, `waveforms`, or both")
        if self.table is None and (self.columns or self.layer_4):
            raise ValueError("`columns` and `layer_4` belong to `table`")
        if self.waveforms is not None and "{session}" not in self.waveforms:
            raise ValueError("`waveforms` needs {session} in it: each session has a file")
        for session, (low, high) in self.layer_4.items():
            if not low < high:
                raise ValueError(f"`layer_4` of {session!r} must have the least depth first")
        return self


class UnitsOptions(Options):
    """What stands in the table of units beside the scores."""

    rescale: bool = Field(
        False,
        description="also score rates with a gain and an offset per unit, fitted on other blocks than are scored",
    )
    num_folds: int = Field(5, ge=2, description="shares of the frames that take turns in being scored, with `rescale`")
    num_draws: int = Field(
        0, ge=0, description="draws of a bootstrap over blocks of time for 95 % intervals of each score; 0 for none"
    )
    block: float = Field(10.0, gt=0, description="seconds of a block, for `rescale` and `num_draws`")
    quality: QualityOptions | None = Field(
        None,
        description="what is known of units from elsewhere stands beside the scores, with pictures: a CSV `table` by "
        "`session` and `unit`, of which `columns` are taken; `waveforms`, an NPZ file per session; depths of `layer_4`",
    )


class SpikeTriggeredAverageOptions(Options):
    """Average stimulus before spikes."""

    num_lags: int = Field(12, ge=1, description="frames, the last of which is that of the response")
    of: Literal["frames", "energy"] = Field(
        "frames",
        description="what is averaged: frames; or their squares about the mean, in which also units show that do not "
        "care about phase (the ensemble of frames before spikes)",
    )
    whiten: float | None = Field(
        None,
        gt=0,
        description="take away what pixels and frames have in common, so that filters are left: averages times the "
        "inverse covariance of the stimulus (that of space times that of time) with so many parts of its mean on the "
        "diagonal, e.g. 0.01; an energy is that of frames that are white in space",
    )


class SaccadeTriggeredOptions(Options):
    """Rates around saccades."""

    before_ms: float = Field(100.0, ge=0, description="milliseconds before the onset")
    after_ms: float = Field(400.0, gt=0, description="milliseconds after the onset")
    speed: float = Field(20.0, gt=0, description="degrees per second above which the eye begins a saccade")
    shortest_ms: float = Field(100.0, ge=0, description="least interval since the saccade before")
    longest_ms: float = Field(500.0, gt=0, description="greatest interval since the saccade before, in one trial")
    channel: str = Field("", description="behavior channel that is above 0 at onsets; by default eye positions tell")


class GratingTuningOptions(Options):
    """Drifting gratings that are shown to the model."""

    num_orientations: int = Field(8, ge=2, description="directions of drift, evenly over 360 degrees")
    periods: tuple[Annotated[float, Field(gt=1)], ...] = Field(
        (4.0, 8.0, 16.0), min_length=1, description="spatial periods in pixels"
    )
    hz: float = Field(4.0, gt=0, description="temporal frequency")
    contrast: float = Field(1.0, gt=0, description="amplitude, in standard deviations of the session's stimulus")
    cycles: int = Field(2, ge=1, description="temporal periods over which responses are averaged")
