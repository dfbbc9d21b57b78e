"""The whole contract with plugins on one page: a plugin is a torch-free module with functions named like these.

::

    from visioncore_engine import Component, hookimpl

    @hookimpl
    def visioncore_samplers():
        yield Component(name="contrast_weighted", summary="high contrast first, fading to uniform",
                        options="lab_plugins.options:ContrastWeightedOptions",
                        build="lab_plugins.samplers:ContrastWeighted")

The module is named by an entry point in the group ``visioncore_engine``, or given with ``--plugin FILE.py``. Builders
are called as ``build(options, facts)``; the facts of each kind and what its builder must return stand in
`visioncore_engine.contracts`. Nothing depends on the order in which plugins are found: components are sorted by
(kind, name), and one name from two plugins is ambiguous until a run file says ``plugin:name``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from visioncore_engine.component import Command, Component
    from visioncore_engine.config.run import RunConfig
    from visioncore_engine.errors import Problem

__all__ = ["ENTRY_POINT_GROUP", "hookimpl", "hookspec"]

ENTRY_POINT_GROUP = "visioncore_engine"
hookspec = pluggy.HookspecMarker(ENTRY_POINT_GROUP)
hookimpl = pluggy.HookimplMarker(ENTRY_POINT_GROUP)


@hookspec
def visioncore_datasets() -> Iterable[Component]:
    """Yield datasets: ``data`` in the run file; builds a `contracts.Dataset`."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_readers() -> Iterable[Component]:
    """Yield readers of one recording; chosen by a dataset's options, build a `contracts.Reader`."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_preparations() -> Iterable[Component]:
    """Yield preparations: ``data.prepare``; build a `contracts.Preparation`."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_samplers() -> Iterable[Component]:
    """Yield samplers: ``sampler``; build a `contracts.Sampler`, which never knows how its batches are shared out."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_transforms() -> Iterable[Component]:
    """Yield transforms: ``transforms``; build a `contracts.Transform`."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_models() -> Iterable[Component]:
    """Yield models: ``model``; build a `contracts.Model`."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_adapters() -> Iterable[Component]:
    """Yield adapters, one module per group before the shared core; build a `contracts.Adapter`."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_stages() -> Iterable[Component]:
    """Yield stages of the shared core (frontends, cores, recurrent layers); build a `contracts.Stage`."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_modulators() -> Iterable[Component]:
    """Yield modulators of features by a side input; build a `contracts.Modulator`."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_readouts() -> Iterable[Component]:
    """Yield readouts, one head per group; build a `contracts.Readout`."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_losses() -> Iterable[Component]:
    """Yield losses: ``loss``; build a `contracts.Loss` of masked sums and weights, which the engine normalises."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_metrics() -> Iterable[Component]:
    """Yield metrics: ``metrics``; build a `contracts.Metric` with mergeable float64 state."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_evaluators() -> Iterable[Component]:
    """Yield evaluators: ``evaluate``; build a `contracts.Evaluator` of a trained model: tables and figures."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_regularizers() -> Iterable[Component]:
    """Yield regularizers: ``regularizers``; build a `contracts.Regularizer`, applied once per optimizer step."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_optimizers() -> Iterable[Component]:
    """Yield optimizers: ``optimizer``; build a `torch.optim.Optimizer` over the parameter groups of the facts."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_schedulers() -> Iterable[Component]:
    """Yield learning-rate schedulers: ``scheduler``; build a `contracts.Scheduler`: a factor per optimizer step."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_callbacks() -> Iterable[Component]:
    """Yield callbacks: ``callbacks``; build a `pytorch_lightning.Callback`."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_loggers() -> Iterable[Component]:
    """Yield loggers: ``loggers``; build a `pytorch_lightning.loggers.Logger`."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_launchers() -> Iterable[Component]:
    """Yield launchers: ``launch``; build a `visioncore_engine.launch.Launcher`, without torch."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_checks(config: RunConfig) -> Iterable[Problem]:
    """Yield `errors.Problem` for combinations in a resolved run (`config.RunConfig`) that the plugin knows to be wrong.

    Runs in ``visioncore check`` and before training, without torch.
    """
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_data_checks(config: RunConfig) -> Iterable[Problem]:
    """Yield `errors.Problem` for what the headers of a run's data say is wrong, such as missing files.

    Runs in ``visioncore check`` alone: the data may be on another machine than the one that resolves a run, and before
    training they are opened anyway. Reads headers, never whole arrays, and imports no torch (NumPy only inside).
    """
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_commands() -> Iterable[Command]:
    """Yield `component.Command` objects that join the command line: a name, a summary and a torch-free address."""
    raise AssertionError("a specification is never called")


@hookspec
def visioncore_report_sections() -> Iterable[str]:
    """Yield addresses ``"package.module:function"`` of report sections, called as ``section(context)``."""
    raise AssertionError("a specification is never called")
