"""Neural recordings: sessions, simulated data, encoder, Poisson loss, neural metrics.

Only declarations stand here; options and builders are imported when a run uses them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from visioncore_engine.component import Command, Component, resolve_address
from visioncore_engine.hookspecs import hookimpl
from visioncore_neural import _data_components, _evaluation_components, _model_components

if TYPE_CHECKING:
    from visioncore_engine.config.run import RunConfig
    from visioncore_engine.errors import Problem


def _components(kind: str) -> Iterable[Component]:
    yield from _data_components.COMPONENTS.get(kind, ())
    yield from _model_components.COMPONENTS.get(kind, ())
    yield from _evaluation_components.COMPONENTS.get(kind, ())


@hookimpl
def visioncore_datasets() -> Iterable[Component]:
    """Yield datasets."""
    return _components("dataset")


@hookimpl
def visioncore_readers() -> Iterable[Component]:
    """Yield readers."""
    return _components("reader")


@hookimpl
def visioncore_preparations() -> Iterable[Component]:
    """Yield preparations."""
    return _components("preparation")


@hookimpl
def visioncore_samplers() -> Iterable[Component]:
    """Yield samplers."""
    return _components("sampler")


@hookimpl
def visioncore_adapters() -> Iterable[Component]:
    """Yield adapters."""
    return _components("adapter")


@hookimpl
def visioncore_stages() -> Iterable[Component]:
    """Yield stages."""
    return _components("stage")


@hookimpl
def visioncore_modulators() -> Iterable[Component]:
    """Yield modulators."""
    return _components("modulator")


@hookimpl
def visioncore_models() -> Iterable[Component]:
    """Yield models."""
    return _components("model")


@hookimpl
def visioncore_readouts() -> Iterable[Component]:
    """Yield readouts."""
    return _components("readout")


@hookimpl
def visioncore_losses() -> Iterable[Component]:
    """Yield losses."""
    return _components("loss")


@hookimpl
def visioncore_metrics() -> Iterable[Component]:
    """Yield metrics."""
    return _components("metric")


@hookimpl
def visioncore_evaluators() -> Iterable[Component]:
    """Yield evaluators."""
    return _components("evaluator")


@hookimpl
def visioncore_regularizers() -> Iterable[Component]:
    """Yield regularizers."""
    return _components("regularizer")


@hookimpl
def visioncore_callbacks() -> Iterable[Component]:
    """Yield callbacks."""
    return _components("callback")


@hookimpl
def visioncore_data_checks(config: RunConfig) -> Iterable[Problem]:
    """Look at the headers of sessions on disk."""
    if (config.data.plugin, config.data.name) == ("visioncore_neural", "sessions"):
        yield from resolve_address("visioncore_neural.data.headers:problems")(config)  # which imports NumPy


@hookimpl
def visioncore_commands() -> Iterable[Command]:
    """Yield commands."""
    yield from _data_components.COMMANDS
    yield from _evaluation_components.COMMANDS


@hookimpl
def visioncore_report_sections() -> Iterable[str]:
    """Yield addresses of report sections."""
    yield from _evaluation_components.REPORT_SECTIONS
