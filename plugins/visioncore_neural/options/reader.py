"""Options of the readers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from visioncore_engine.options import Options

__all__ = ["ArchiveOptions", "FolderOptions"]


class FolderOptions(Options):
    """A session folder says everything about itself."""


class ArchiveOptions(Options):
    """What a file of arrays does not say about itself."""

    keys: dict[str, str | None] = Field(
        default_factory=dict,
        description="our name of an array: its name in the file, e.g. `trial: segment`; null leaves an array unread",
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
