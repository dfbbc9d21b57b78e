"""Declarations of datasets, readers, preparations, samplers and commands."""

from __future__ import annotations

from collections.abc import Mapping

from visioncore_engine.component import Command, Component

__all__ = ["COMMANDS", "COMPONENTS"]

_OPTIONS = "visioncore_neural.options"

COMPONENTS: Mapping[str, tuple[Component, ...]] = {
    "dataset": (
        Component(
            name="synthetic_v1",
            summary="simulated sessions with known receptive fields, delays and rates",
            options=f"{_OPTIONS}.dataset:SyntheticOptions",
            build="visioncore_neural.simulation.dataset:Synthetic",
        ),
        Component(
            name="sessions",
            summary="recordings from disk",
            options=f"{_OPTIONS}.dataset:SessionsOptions",
            build="visioncore_neural.data.sessions:Sessions",
        ),
    ),
    "reader": (
        Component(
            name="folder",
            summary="session folders: session.json and memory-mapped arrays",
            options=f"{_OPTIONS}.reader:FolderOptions",
            build="visioncore_neural.data.readers:Folder",
        ),
        Component(
            name="npz",
            summary="NumPy archives, with a map of names and axes",
            options=f"{_OPTIONS}.reader:ArchiveOptions",
            build="visioncore_neural.data.readers:Npz",
        ),
        Component(
            name="hdf5",
            summary="HDF5 files, with a map of names and axes",
            options=f"{_OPTIONS}.reader:ArchiveOptions",
            build="visioncore_neural.data.readers:Hdf5",
        ),
    ),
    "preparation": (
        Component(
            name="pixel_norm",
            summary="grey levels to values around zero: (pixel - 127) / 255",
            options=f"{_OPTIONS}.preparation:PixelNormOptions",
            build="visioncore_neural.preparations.affine:PixelNorm",
        ),
        Component(
            name="standardize",
            summary="mean 0 and standard deviation 1 over the training frames",
            options=f"{_OPTIONS}.preparation:StandardizeOptions",
            build="visioncore_neural.preparations.affine:Standardize",
        ),
        Component(
            name="velocity",
            summary="change of eye position or behavior, as further behavior channels",
            options=f"{_OPTIONS}.preparation:VelocityOptions",
            build="visioncore_neural.preparations.velocity:Velocity",
        ),
    ),
    "sampler": (
        Component(
            name="by_session",
            summary="each batch from one session",
            options=f"{_OPTIONS}.sampler:BySessionOptions",
            build="visioncore_neural.samplers.by_session:BySession",
        ),
        Component(
            name="balanced",
            summary="samples, sessions, subjects or units come alike",
            options=f"{_OPTIONS}.sampler:BalancedOptions",
            build="visioncore_neural.samplers.balanced:Balanced",
        ),
        Component(
            name="contrast_weighted",
            summary="high contrast first, fading to uniform",
            options=f"{_OPTIONS}.sampler:ContrastWeightedOptions",
            build="visioncore_neural.samplers.contrast_weighted:ContrastWeighted",
        ),
    ),
}

COMMANDS: tuple[Command, ...] = (
    Command(
        name="data",
        summary="write demonstration recordings, convert recordings, check them",
        build="visioncore_neural.commands.data:build",
    ),
    Command(
        name="import-config",
        summary="make a run file of another system's configuration and command line",
        build="visioncore_neural.commands.import_config:build",
    ),
)
