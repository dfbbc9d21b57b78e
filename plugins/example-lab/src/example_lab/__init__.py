"""What this package offers to run files: declarations only, so that listing plugins stays cheap."""

from __future__ import annotations

from collections.abc import Iterator

from visioncore_engine import Component, hookimpl


@hookimpl
def visioncore_datasets() -> Iterator[Component]:
    """Declare datasets."""
    yield Component(
        name="sheets",
        summary="columns of numbers from a folder of files, some predicted from the others",
        options="example_lab.options:SheetsOptions",
        build="example_lab.dataset:Sheets",
    )


@hookimpl
def visioncore_readers() -> Iterator[Component]:
    """Declare readers."""
    yield Component(
        name="csv_sheet",
        summary="comma-separated values with a line of names, for the dataset `sheets`",
        options="example_lab.options:CsvSheetOptions",
        build="example_lab.reader:CsvSheet",
    )


@hookimpl
def visioncore_preparations() -> Iterator[Component]:
    """Declare preparations."""
    yield Component(
        name="z_score",
        summary="columns of a sheet to mean 0 and deviation 1 over the training rows",
        options="example_lab.options:ZScoreOptions",
        build="example_lab.preparation:ZScore",
    )


@hookimpl
def visioncore_samplers() -> Iterator[Component]:
    """Declare samplers."""
    yield Component(
        name="bootstrap",
        summary="windows drawn with replacement, by a power of their valid predictions",
        options="example_lab.options:BootstrapOptions",
        build="example_lab.sampler:Bootstrap",
    )


@hookimpl
def visioncore_transforms() -> Iterator[Component]:
    """Declare transforms."""
    yield Component(
        name="contrast_jitter",
        summary="inputs of each training window times a factor near 1",
        options="example_lab.options:ContrastJitterOptions",
        build="example_lab.transform:ContrastJitter",
    )


@hookimpl
def visioncore_models() -> Iterator[Component]:
    """Declare models."""
    yield Component(
        name="linear",
        summary="weighted sums of the inputs, a layer per group",
        options="example_lab.options:LinearOptions",
        build="example_lab.model:Linear",
    )


@hookimpl
def visioncore_adapters() -> Iterator[Component]:
    """Declare adapters."""
    yield Component(
        name="area_pool",
        summary="frames of any size to one grid, each pixel a mean",
        options="example_lab.options:AreaPoolOptions",
        build="example_lab.adapter:AreaPool",
    )


@hookimpl
def visioncore_stages() -> Iterator[Component]:
    """Declare stages."""
    yield Component(
        name="divisive",
        summary="features divided by their mean over the channels",
        options="example_lab.options:DivisiveOptions",
        build="example_lab.stage:Divisive",
    )


@hookimpl
def visioncore_modulators() -> Iterator[Component]:
    """Declare modulators."""
    yield Component(
        name="scalar_gain",
        summary="one gain on all features that follows a side input",
        options="example_lab.options:ScalarGainOptions",
        build="example_lab.modulator:ScalarGain",
    )


@hookimpl
def visioncore_readouts() -> Iterator[Component]:
    """Declare readouts."""
    yield Component(
        name="factorized",
        summary="a map in space times weights over channels for each column",
        options="example_lab.options:FactorizedOptions",
        build="example_lab.readout:Factorized",
    )


@hookimpl
def visioncore_losses() -> Iterator[Component]:
    """Declare losses."""
    yield Component(
        name="huber",
        summary="squared error of numbers, straight where it is large",
        options="example_lab.options:HuberOptions",
        build="example_lab.loss:Huber",
    )


@hookimpl
def visioncore_metrics() -> Iterator[Component]:
    """Declare metrics."""
    yield Component(
        name="mean_absolute_error",
        summary="mean absolute error of numbers",
        build="example_lab.metric:MeanAbsoluteError",
        logs=("mean_absolute_error",),
    )


@hookimpl
def visioncore_evaluators() -> Iterator[Component]:
    """Declare evaluators."""
    yield Component(
        name="residuals",
        summary="a row per predicted column: bias and scatter of the predictions",
        options="example_lab.options:ResidualsOptions",
        build="example_lab.evaluator:Residuals",
    )


@hookimpl
def visioncore_regularizers() -> Iterator[Component]:
    """Declare regularizers."""
    yield Component(
        name="orthogonal",
        summary="filters of one layer that point the same way cost",
        options="example_lab.options:OrthogonalOptions",
        build="example_lab.regularizer:Orthogonal",
    )


@hookimpl
def visioncore_optimizers() -> Iterator[Component]:
    """Declare optimizers."""
    yield Component(
        name="lion",
        summary="steps of one size in the direction of a sign",
        options="example_lab.options:LionOptions",
        build="example_lab.optimizer:lion",
    )


@hookimpl
def visioncore_schedulers() -> Iterator[Component]:
    """Declare schedulers."""
    yield Component(
        name="trapezoid",
        summary="warm-up, plateau, straight cool-down to zero",
        options="example_lab.options:TrapezoidOptions",
        build="example_lab.scheduler:Trapezoid",
    )


@hookimpl
def visioncore_callbacks() -> Iterator[Component]:
    """Declare callbacks."""
    yield Component(
        name="scoreboard",
        summary="scoreboard.csv: the monitored value of every validation, and the best so far",
        options="example_lab.options:ScoreboardOptions",
        build="example_lab.callback:Scoreboard",
    )


@hookimpl
def visioncore_loggers() -> Iterator[Component]:
    """Declare loggers."""
    yield Component(
        name="status",
        summary="status.json: the last value of everything that is logged",
        options="example_lab.options:StatusOptions",
        build="example_lab.logger:Status",
    )


@hookimpl
def visioncore_launchers() -> Iterator[Component]:
    """Declare launchers."""
    yield Component(
        name="detached",
        summary="a process of its own that outlives the terminal",
        options="example_lab.options:DetachedOptions",
        build="example_lab.launcher:Detached",
    )
