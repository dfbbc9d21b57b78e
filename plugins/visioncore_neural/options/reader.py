"""Options of the readers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from visioncore_engine.options import Options

__all__ = ["ArchiveOptions", "FolderOptions", "NwbOptions", "SensoriumOptions"]


class FolderOptions(Options):
    """A session folder says everything about itself."""


class ArchiveOptions(Options):
    """What a file of arrays does not say about itself."""

    keys: dict[str, str | None] = Field(
        default_factory=dict,
        description="our name of an array: its name in the file, e.g. `trial: segment`; null leaves an array unread",
    )
    stimulus: str = Field(
        "",
        description="file with the stimulus, where sessions share one: `FILE.npy`, or `FILE.h5:KEY`, relative to the "
        "folder of the session. A `stim_sha256` in the session's file must be that of its values",
    )
    axes: str = Field(
        "",
        pattern=r"^[TCHW]*$",
        description="axes of the stimulus in the file's order, e.g. `TCW`; axes that are not there get size 1. "
        "By default TCHW, THW, TC or T, by their number",
    )
    dt: float | None = Field(None, gt=0, description="seconds per frame; by default what the file says")
    scale: float = Field(1.0, description="stimulus value of one stored unit")
    offset: float = Field(0.0, description="stimulus value of a stored zero")
    session: str = Field("", description="name of the session; by default what the file says, else the file's name")
    subject: str = Field("", description="subject; by default what the file says, else the session's name")
    kind: Literal["counts", "rates"] = Field("counts", description="whether responses are counts or rates")
    repeats: bool = Field(
        True, description="append `stim_rep` and `robs_rep`, where the file has them, as trials of the split `repeats`"
    )


class SensoriumOptions(Options):
    """What a file tree of the Sensorium competitions does not say about itself."""

    tiers: dict[str, Literal["train", "validation", "test", "repeats", "none"]] = Field(
        default_factory=dict,
        description="split of a tier, or none to leave its trials out. By default train, validation and test are what "
        "they are called, oracle becomes `repeats`, and tiers whose responses were held back are left out",
    )
    dt: float | None = Field(None, gt=0, description="seconds per frame; by default 1/30 of videos, 0.5 of images")
    behavior_names: tuple[str, ...] | None = Field(
        None, description="names of the rows of behavior; by default those of the competitions for two or three rows"
    )
    session: str = Field("", description="name of the session; by default that of the folder")
    subject: str = Field("", description="subject; by default the number that the folder's name begins with")
    kind: Literal["counts", "rates"] = Field("rates", description="whether responses are counts or rates")


class NwbOptions(Options):
    """What of an NWB file is read."""

    stimulus: str = Field("", description="name of the stimulus series; by default the one that the file presents")
    axes: str = Field(
        "",
        pattern=r"^[TCHW]*$",
        description="axes of the stimulus in the file's order, e.g. `THWC`. By default TCHW, THW, TC or T, by number",
    )
    responses: str = Field("", description="name of a series of responses; by default spikes of `units` are counted")
    unit_id: str = Field("id", description="column of `units` whose values are the unit ids")
    behavior: tuple[str, ...] = Field((), description="names of series that become channels of behavior")
    eyepos: str = Field("", description="name of the series of the gaze, horizontal and vertical")
    intervals: str = Field("trials", description="table of intervals whose rows are trials")
    split: str = Field("", description="column of `intervals` that holds the split: train, validation, test, repeats")
    dt: float | None = Field(None, gt=0, description="seconds per frame; by default the median distance of frames")
    session: str = Field("", description="name of the session; by default its id, else the file's name")
    subject: str = Field("", description="subject; by default what the file says, else the session's name")
    kind: Literal["counts", "rates"] | None = Field(
        None, description="whether responses are counts or rates; by default spikes are counts, a series is rates"
    )
