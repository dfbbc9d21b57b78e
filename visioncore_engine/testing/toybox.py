"""Declarations of the parts of a tiny run. Torch-free, like those of any plugin."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace

from visioncore_engine.component import Component
from visioncore_engine.hookspecs import hookimpl
from visioncore_engine.registry import Registry, discover

__all__ = ["toys"]


def _toy(name: str, summary: str, build: str, options: str = "", logs: tuple[str, ...] = ()) -> Component:
    home = "visioncore_engine.testing"
    return Component(
        name=name,
        summary=summary,
        build=f"{home}.toys:{build}",
        options=f"{home}.toyoptions:{options}" if options else "",
        logs=logs,
    )


@hookimpl
def visioncore_datasets() -> Iterator[Component]:
    """Two groups of linear targets."""
    yield _toy("tiny", "linear targets of two groups, some masked", "TinyData")


@hookimpl
def visioncore_samplers() -> Iterator[Component]:
    """Windows in order."""
    yield _toy("tiny", "every window once, in an order of its own in each epoch", "TinySampler")


@hookimpl
def visioncore_models() -> Iterator[Component]:
    """A linear model."""
    yield _toy("tiny", "a linear layer, a head per group", "TinyModel")


@hookimpl
def visioncore_losses() -> Iterator[Component]:
    """Squared error."""
    yield _toy("tiny", "masked squared error", "TinyLoss")


@hookimpl
def visioncore_metrics() -> Iterator[Component]:
    """Mean squared error."""
    yield _toy("tiny", "mean squared error", "TinyError", logs=("tiny",))


@hookimpl
def visioncore_optimizers() -> Iterator[Component]:
    """Gradient descent."""
    yield _toy("tiny", "gradient descent with momentum", "tiny_optimizer")


@hookimpl
def visioncore_callbacks() -> Iterator[Component]:
    """The end of a run, and a callback that a test has built."""
    yield _toy("tiny_given", "the callback that a test holds in its hand", "given")
    yield _toy("tiny_cut", "cuts the run off, as a power failure would", "TinyCut", "TinyCutOptions")


@hookimpl
def visioncore_loggers() -> Iterator[Component]:
    """Nothing is kept."""
    yield _toy("tiny", "keeps nothing", "TinyLogger")


@cache
def toys() -> Registry:
    """Registry of these components alone: plugin ``visioncore_testing``."""
    hooks = {name: value for name, value in globals().items() if name.startswith("visioncore_")}
    point = SimpleNamespace(
        name="visioncore_testing", value=__name__, dist=None, load=lambda: SimpleNamespace(**hooks, __name__=__name__)
    )
    return discover(entry_points=[point])
