"""What the benchmarks add to the components of a run: a plugin file. Declarations are torch-free."""

from __future__ import annotations

from collections.abc import Iterator

from visioncore_engine import Component, hookimpl

OPTIONS, PARTS = "bench_options", "bench_parts"


@hookimpl
def visioncore_datasets() -> Iterator[Component]:
    """Rows of numbers."""
    yield Component(
        name="rows", summary="rows in memory", options=f"{OPTIONS}:RowsOptions", build=f"{PARTS}:RowsDataset"
    )


@hookimpl
def visioncore_models() -> Iterator[Component]:
    """A perceptron."""
    yield Component(
        name="perceptron", summary="three layers", options=f"{OPTIONS}:PerceptronOptions", build=f"{PARTS}:Perceptron"
    )


@hookimpl
def visioncore_losses() -> Iterator[Component]:
    """Squared error."""
    yield Component(name="squared", summary="mean squared error", build=f"{PARTS}:Squared")


@hookimpl
def visioncore_callbacks() -> Iterator[Component]:
    """Callbacks that look at the clock, or log."""
    yield Component(name="ticks", summary="when each step begins", build="ticks:Ticks")
    yield Component(
        name="deadline",
        summary="ends a run at a score",
        options=f"{OPTIONS}:DeadlineOptions",
        build="ticks:Deadline",
    )
    yield Component(
        name="busy", summary="five hooks, and scalars", options=f"{OPTIONS}:BusyOptions", build=f"{PARTS}:Busy"
    )
