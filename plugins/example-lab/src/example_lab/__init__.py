"""What this package offers to run files: declarations only, so that listing plugins stays cheap."""

from __future__ import annotations

from collections.abc import Iterator

from visioncore_engine import Component, hookimpl


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
def visioncore_regularizers() -> Iterator[Component]:
    """Declare regularizers."""
    yield Component(
        name="orthogonal",
        summary="filters of one layer that point the same way cost",
        options="example_lab.options:OrthogonalOptions",
        build="example_lab.regularizer:Orthogonal",
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
