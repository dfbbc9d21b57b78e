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
        Component(
            name="nwb",
            summary="Neurodata Without Borders: a stimulus, spikes or series (extra: nwb)",
            options=f"{_OPTIONS}.reader:NwbOptions",
            build="visioncore_neural.data.nwb:Nwb",
        ),
        Component(
            name="sensorium",
            summary="file trees of the Sensorium competitions and of neuralpredictors",
            options=f"{_OPTIONS}.reader:SensoriumOptions",
            build="visioncore_neural.data.sensorium:Sensorium",
        ),
        Component(
            name="dset",
            summary="VisionCore's .dset files: covariates and metadata, saved by torch",
            options=f"{_OPTIONS}.reader:ArchiveOptions",
            build="visioncore_neural.data.dset:Dset",
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
        Component(
            name="max_norm",
            summary="each channel divided by its largest magnitude in the training frames",
            options=f"{_OPTIONS}.preparation:MaxNormOptions",
            build="visioncore_neural.preparations.affine:MaxNorm",
        ),
        Component(
            name="symlog",
            summary="sign(x) log(1 + |x|)",
            options=f"{_OPTIONS}.preparation:SymlogOptions",
            build="visioncore_neural.preparations.pointwise:Symlog",
        ),
        Component(
            name="split_relu",
            summary="behavior channels split into their positive and negative parts",
            options=f"{_OPTIONS}.preparation:SplitReLUOptions",
            build="visioncore_neural.preparations.pointwise:SplitReLU",
        ),
        Component(
            name="difference",
            summary="difference to the frame before, within trials",
            options=f"{_OPTIONS}.preparation:DifferenceOptions",
            build="visioncore_neural.preparations.in_time:Difference",
        ),
        Component(
            name="smooth",
            summary="Gaussian running mean within trials",
            options=f"{_OPTIONS}.preparation:SmoothOptions",
            build="visioncore_neural.preparations.in_time:Smooth",
        ),
        Component(
            name="temporal_basis",
            summary="the recent past of a side input under a temporal basis",
            options=f"{_OPTIONS}.preparation:SideBasisOptions",
            build="visioncore_neural.preparations.in_time:TemporalBasis",
        ),
        Component(
            name="whitening",
            summary="flat spatial spectrum of every frame (Olshausen & Field, 1996)",
            options=f"{_OPTIONS}.preparation:WhiteningOptions",
            build="visioncore_neural.preparations.whitening:Whitening",
        ),
        Component(
            name="downsample",
            summary="so many frames become one, by a rule for each array",
            options=f"{_OPTIONS}.preparation:DownsampleOptions",
            build="visioncore_neural.preparations.downsample:Downsample",
        ),
        Component(
            name="select_units",
            summary="units by id or by a table of their qualities",
            options=f"{_OPTIONS}.preparation:SelectUnitsOptions",
            build="visioncore_neural.preparations.units:SelectUnits",
        ),
        Component(
            name="missing_pct",
            summary="responses do not count where a spike sorter misses spikes",
            options=f"{_OPTIONS}.preparation:MissingOptions",
            build="visioncore_neural.preparations.units:MissingPct",
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
    Command(
        name="import-checkpoint",
        summary="make a checkpoint of another system's",
        build="visioncore_neural.commands.import_checkpoint:build",
    ),
)
