"""A training engine whose every part is a plugin, chosen by name in a YAML run file.

The road of a run, each step knowing only the steps before it::

    discover  entry points -> plugin modules -> component declarations      no torch
    config    names looked up, options typed, every mistake named           no torch
    record    what was resolved and who provided it                         no torch
    build     data, model, loss, metrics, regularizers, optimizer           torch
    module    one LightningModule around the parts
    run       fit, validate, test, resume; checkpoints that describe themselves
    report    a page that a person looks at; tables; a JSON for machines
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visioncore_engine.component import Component
    from visioncore_engine.config.resolve import resolve, resolve_part
    from visioncore_engine.evaluation import evaluate
    from visioncore_engine.hookspecs import hookimpl
    from visioncore_engine.options import Choice, Options, Slot, choose
    from visioncore_engine.registry import discover
    from visioncore_engine.restore import load
    from visioncore_engine.run import train

__version__ = "0.1.0"

# Imported on first use: a plugin's declaration module needs only the first few, and must not pay for torch.
_PUBLIC = {
    "Choice": "options",
    "Component": "component",
    "Options": "options",
    "Slot": "options",
    "choose": "options",
    "discover": "registry",
    "evaluate": "evaluation",
    "hookimpl": "hookspecs",
    "load": "restore",
    "resolve": "config",
    "resolve_part": "config",
    "train": "run",
}

__all__ = [
    "Choice",
    "Component",
    "Options",
    "Slot",
    "__version__",
    "choose",
    "discover",
    "evaluate",
    "hookimpl",
    "load",
    "resolve",
    "resolve_part",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
