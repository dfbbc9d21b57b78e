"""What a user may write for data sets of labelled examples."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from visioncore_engine.options import Options, Patterns

__all__ = ["ArraysOptions", "ExamplesOptions", "RenderedShapesOptions"]


class ExamplesOptions(Options):
    """Options of every data set of labelled examples."""

    task: str = Field("class", pattern=r"^[A-Za-z0-9_]+$", description="name of what is predicted, and of its output")
    standardize: Literal["channel", "pixel", "none"] = Field(
        "channel",
        description="subtract the mean and divide by the standard deviation of the group's training examples: one pair "
        "per channel, one per pixel, or not at all",
    )


class ArraysOptions(ExamplesOptions):
    """Labelled examples in ``.npz`` files, or in folders of ``.npy`` files, which are read by memory map."""

    root: str = Field("", description="folder that `files` are relative to; by default $VISIONCORE_DATA")
    files: Patterns = Field(description="files or folders below `root`, by shell-style pattern")
    inputs: str = Field("inputs", min_length=1, description="array of examples: numbers, axes as in `axes`")
    labels: str = Field("labels", min_length=1, description="array (N,) of integer classes from 0; -1 has no label")
    split: str = Field("split", min_length=1, description="array (N,): 0 training, 1 validation, 2 test")
    axes: str = Field("nchw", description="axes of `inputs`: n examples, c channels, h rows, w columns; n is needed")
    classes: tuple[str, ...] = Field((), description="names of the classes; by default as many as there are labels")
    groups: Literal["per_file", "single"] = Field(
        "per_file", description="each file is a group with its own head, or all files are one"
    )
    grouping: str = Field("files", pattern=r"^[a-z_]+$", description="the data's word for groups, e.g. 'speakers'")

    @field_validator("axes")
    @classmethod
    def _known_axes(cls, axes: str) -> str:
        if "n" not in axes or set(axes) - set("nchw") or len(set(axes)) != len(axes):
            raise ValueError("write each of n, c, h, w at most once, in the order of the stored axes; n is needed")
        return axes

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(classes)) != len(classes) or len(classes) == 1:
            raise ValueError("two or more classes, each with its own name")
        return classes


class RenderedShapesOptions(ExamplesOptions):
    """Simple shapes at random places, sizes and angles in noise: rendered in memory, no file is read."""

    num_groups: int = Field(1, ge=1, le=100, description="groups: bright shapes and dark ones, in turn")
    num_classes: int = Field(6, ge=2, le=6, description="shapes: disk, square, triangle, cross, ring, bar")
    num_train: int = Field(800, ge=1, description="training examples of each group")
    num_validation: int = Field(150, ge=1, description="validation examples of each group")
    num_test: int = Field(150, ge=1, description="test examples of each group")
    size: int = Field(32, ge=12, le=256, description="pixels along each side")
    noise: float = Field(0.1, ge=0, description="standard deviation of the noise; a shape has contrast 0.5 to 1")
    seed: int | None = Field(None, ge=0, lt=2**32, description="seed of the shapes; by default the seed of the run")
