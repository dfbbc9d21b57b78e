"""Look at this machine: versions, devices, plugins, threads, and whether this folder can be written."""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

import importlib_metadata

from visioncore_engine.cli.layout import columns
from visioncore_engine.cli.parser import add_plugins, example, registry_of

__all__ = ["arguments", "run"]

_LIBRARIES = ("visioncore-engine", "torch", "pytorch-lightning", "numpy", "h5py", "pluggy", "pydantic", "PyYAML")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_plugins(parser)
    example(parser, "visioncore doctor")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; what is wrong begins with '!!'."""
    rows = [("system", platform.platform()), ("python", platform.python_version())]
    rows += [(name, _version(name)) for name in _LIBRARIES]
    rows += [*_devices(), *_machine(), ("folder", _folder())]
    for plugin in registry_of(arguments).plugins:
        state = f"!! broken: {plugin.error}" if plugin.status == "broken" else plugin.status
        rows.append((f"plugin {plugin.name}", f"{plugin.origin}{' (editable)' if plugin.editable else ''}: {state}"))
        rows += [("", f"!! {warning}") for warning in plugin.warnings]
    print("\n".join(columns(rows)))
    return 0


def _version(name: str) -> str:
    try:
        return str(importlib_metadata.version(name))
    except importlib_metadata.PackageNotFoundError:
        return "!! not installed"


def _devices() -> Iterator[tuple[str, str]]:
    try:
        import torch

        yield "torch threads", str(torch.get_num_threads())
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    except ModuleNotFoundError:
        yield "devices", "unknown, because torch is not installed"
        return
    except Exception as error:  # noqa: BLE001 - a broken installation is what a doctor has to report
        yield "devices", f"!! torch cannot be used: {type(error).__name__}: {error}"
        return
    yield "devices", ", ".join(["cpu", *names])


def _machine() -> Iterator[tuple[str, str]]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield "processors", f"{usable} usable of {os.cpu_count()}"
    yield "OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "not set")


def _folder() -> str:
    try:
        with tempfile.NamedTemporaryFile(dir=".", prefix=".visioncore-"):
            pass
    except OSError as error:
        return f"!! {Path.cwd()} cannot be written: {error.strerror}"
    return f"{Path.cwd()} can be written"
