"""What a plugin declares: components, and the kinds they may be of. Nothing here imports pydantic or torch."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KINDS", "Command", "Component", "Kind", "resolve_address"]


@dataclass(frozen=True, kw_only=True)
class Component:
    """One thing that a run file can name.

    Attributes
    ----------
    name
        The word in the run file, lower case with underscores.
    summary
        One line for listings.
    build
        Address ``"package.module:attribute"`` of the builder, called as ``build(options, facts)`` and imported only
        when a run uses the component. ``":attribute"`` means the module that declares it.
    options
        Address of the pydantic model (a subclass of the kind's options class) of what a user may write; torch-free.
        Empty means that the component has only the options that every component of its kind has.
    version
        Contract version of the kind that the component is written for, checked before an address is imported.
    logs
        For metrics: names of the values it logs, as they follow ``<split>/``; the name itself where empty.
        A monitor must be one of them.
    former_names
        What the component was called in earlier releases: a run file that says so still finds it, with a warning.
    """

    name: str
    summary: str
    build: str
    options: str = ""
    version: int = 1
    logs: tuple[str, ...] = ()
    former_names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command that a plugin adds to the command line.

    Attributes
    ----------
    name, summary
        ``visioncore <name>`` and one line for ``--help``.
    build
        Address of a function that takes an `argparse.ArgumentParser`, adds the command's arguments and an example to
        it, and returns the handler: a function from the parsed `argparse.Namespace` to an exit code. Torch-free at
        import.
    """

    name: str
    summary: str
    build: str


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of component: a row of `KINDS` and a hook of the same plural name.

    Attributes
    ----------
    name, plural
        ``sampler`` and ``samplers``; the hook is ``visioncore_<plural>``.
    options
        Address of the class that option models of the kind derive from.
    facts
        Address of the frozen object that a builder receives.
    returns
        Address of the protocol or class that a builder must return.
    summary
        What components of the kind do, for listings and generated pages.
    version
        Version of the contract; a component written for another one is refused.
    """

    name: str
    plural: str
    facts: str
    returns: str
    summary: str
    options: str = "visioncore_engine.options:Options"
    version: int = 1

    @property
    def hook(self) -> str:
        """Name of the pluggy hook that yields components of the kind."""
        return f"visioncore_{self.plural}"


def _kind(
    name: str,
    noun: str,
    summary: str,
    *,
    plural: str = "",
    options: str = "Options",
    returns: str = "",
    home: str = "contracts",
) -> Kind:
    return Kind(
        name=name,
        plural=plural or f"{name}s",
        facts=f"visioncore_engine.{home}:{noun}Facts",
        returns=returns or f"visioncore_engine.{home}:{noun}",
        summary=summary,
        options=f"visioncore_engine.options:{options}",
    )


# Adding a kind is a row here, a hookspec, and its facts and protocol in `contracts`.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            _kind("dataset", "Dataset", "opens data and gives one source of windows per group and split"),
            _kind("reader", "Reader", "reads one recording from a file or folder"),
            _kind("preparation", "Preparation", "recording to recording, with statistics of the training frames only"),
            _kind("sampler", "Sampler", "names the windows of every global batch", options="SamplerOptions"),
            _kind("transform", "Transform", "batch to batch on the device, in training only or always"),
            _kind("model", "Model", "module from batch to outputs"),
            _kind("adapter", "Adapter", "brings a group's inputs to the shape that all groups share"),
            _kind("stage", "Stage", "module in the shared core: frontend, core or recurrent layer"),
            _kind("modulator", "Modulator", "changes features by a side input such as behavior"),
            _kind("readout", "Readout", "one head per group: features to the group's targets"),
            _kind("loss", "Loss", "masked sums and weights", plural="losses", options="LossOptions"),
            _kind("metric", "Metric", "mergeable statistics and the scores computed from them"),
            _kind("evaluator", "Evaluator", "tables and figures from a trained model"),
            _kind(
                "regularizer",
                "Regularizer",
                "penalty or proximal step on matched parameters, once per optimizer step",
                options="RegularizerOptions",
            ),
            _kind(
                "optimizer",
                "Optimizer",
                "torch optimizer over named parameter groups",
                options="OptimizerOptions",
                returns="torch.optim:Optimizer",
            ),
            _kind("scheduler", "Scheduler", "factor on every base rate, as a function of the optimizer step"),
            _kind("callback", "Callback", "Lightning callback", returns="pytorch_lightning:Callback"),
            _kind("logger", "Logger", "Lightning logger", returns="pytorch_lightning.loggers:Logger"),
            # Starting a run needs no torch, so this contract stands on the other side of the torch line.
            _kind("launcher", "Launcher", "gives a run its processes, here or on a cluster", home="launch"),
        )
    }
)


def resolve_address(address: str, home: str = "") -> Any:
    """Import what ``"package.module:attribute"`` names.

    Parameters
    ----------
    address
        The address; ``":attribute"`` looks in `home`.
    home
        Module that declared the address.

    Raises
    ------
    ImportError
        Where the module cannot be imported, or has no such attribute.
    """
    module_name, _, attribute = address.partition(":")
    module_name = module_name or home
    if not module_name or not attribute:
        raise ImportError(f"{address!r} is not an address; write 'package.module:attribute'")
    module = sys.modules.get(module_name) or importlib.import_module(module_name)
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise ImportError(f"module {module_name!r} has no attribute {attribute!r}") from None
