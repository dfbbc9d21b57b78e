"""Look at this machine: versions, devices, plugins, threads, and whether this folder can be written.

With --find-batch, find the largest micro-batch of a run that fits into memory. With --windows, measure what a run gains
by longer windows, and whether its model then predicts the same.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import importlib_metadata

from visioncore_engine.cli.layout import columns
from visioncore_engine.cli.parser import add_plugins, add_sets, example, registry_of, sets_of
from visioncore_engine.errors import Problem, RunError, UsageError

if TYPE_CHECKING:
    from visioncore_engine.layouts import Row

__all__ = ["arguments", "run"]

_LIBRARIES = ("visioncore-engine", "torch", "pytorch-lightning", "numpy", "h5py", "pluggy", "pydantic", "PyYAML")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--find-batch", metavar="RUN.yaml", help="try growing micro-batches of this run instead")
    parser.add_argument("--windows", metavar="RUN.yaml", help="measure windows of several lengths in this run")
    parser.add_argument(
        "--lengths", metavar="L", nargs="+", type=int, help="lengths to measure with --windows, by default 1 8 32 64"
    )
    parser.add_argument("--json", action="store_true", help="print what --windows measured as JSON")
    add_sets(parser)
    add_plugins(parser)
    example(
        parser,
        "visioncore doctor",
        "visioncore doctor --find-batch configs/demo.yaml --set sampler.batch_size=4096",
        "visioncore doctor --windows configs/demo.yaml --lengths 1 25",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; what is wrong begins with '!!'."""
    if arguments.find_batch:
        return _find_batch(arguments)
    if arguments.windows:
        return _windows(arguments)
    if arguments.sets:
        todo = "add --find-batch RUN.yaml or --windows RUN.yaml"
        raise UsageError(Problem(what="--set changes a run, and no run is named", todo=todo))
    rows = [("system", platform.platform()), ("python", platform.python_version())]
    rows += [(name, _version(name)) for name in _LIBRARIES]
    rows += [*_devices(), *_machine(), ("folder", _folder()), ("gather", _gather())]
    for plugin in registry_of(arguments).plugins:
        state = f"!! broken: {plugin.error}" if plugin.status == "broken" else plugin.status
        rows.append((f"plugin {plugin.name}", f"{plugin.origin}{' (editable)' if plugin.editable else ''}: {state}"))
        rows += [("", f"!! {warning}") for warning in plugin.warnings]
    print("\n".join(columns(rows)))
    return 0


def _find_batch(arguments: argparse.Namespace) -> int:
    from visioncore_engine.config import resolve
    from visioncore_engine.options import OptimizerOptions
    from visioncore_engine.probe import MARGIN, find_batch

    sets = sets_of(arguments)
    resolved = resolve([arguments.find_batch], sets, plugin_files=arguments.plugin, block=arguments.block)
    job = {
        "paths": [arguments.find_batch],
        "sets": sets,
        "plugin_files": arguments.plugin,
        "block": arguments.block,
    }
    options = resolved.run.optimizer.options
    assert isinstance(options, OptimizerOptions)
    found = find_batch(job, told=_tell)
    if found.accumulate is None:
        raise RunError(f"run failed: not even one window fits ({found.ended}); make the model or its inputs smaller")
    why = f"larger ones do not: {found.ended}" if found.ended else "no more is needed"
    print(f"\nlargest micro-batch that fits: {found.fits} ({why})")
    print(f"a process takes {found.share} of each global batch; with a margin of {MARGIN - 1:.0%}, write")
    print(f"optimizer.accumulate: {found.accumulate}    (the run has {options.accumulate})")
    return 0


def _windows(arguments: argparse.Namespace) -> int:
    from visioncore_engine.layouts import LENGTHS, compare_lengths

    lengths = arguments.lengths or LENGTHS
    if min(lengths) < 1:
        raise UsageError(Problem(what="a window holds at least one prediction", given=str(min(lengths))))
    job = {
        "paths": [arguments.windows],
        "sets": sets_of(arguments),
        "plugin_files": arguments.plugin,
        "block": arguments.block,
    }
    rows = compare_lengths(job, lengths=lengths)
    if arguments.json:
        print(json.dumps([row.plain() for row in rows], indent=1))
        return 0
    first = next(row for row in rows if not row.refused)
    heads = ("length", "predictions/s", "gain", "frames read", "valid", "difference")
    table = [heads, *(_window_row(row, first) for row in rows if not row.refused)]
    print("\n".join("  ".join(f"{cell:>13}" for cell in row) for row in table))
    print(
        "\nframes read: input frames per prediction; valid: predictions that count among all that are computed;\n"
        f"difference: of predictions to those at length {first.length}, in float64, over the largest of them"
    )
    for row in rows:
        if row.refused:
            print(f"\nlength {row.length} is refused: {row.refused}")
    return 0


def _window_row(row: Row, first: Row) -> tuple[str, ...]:
    apart = "not compared" if row.difference is None else f"{row.difference:.1e}"
    gain = f"{row.per_second / first.per_second:.2f}"
    return (str(row.length), f"{row.per_second:.0f}", gain, f"{row.frames_read:.2f}", f"{row.valid_share:.1%}", apart)


def _tell(size: int, num_bytes: int) -> None:
    memory = f", {num_bytes / 2**30:.1f} GiB" if num_bytes else ""
    print(f"{size} fits{memory}", flush=True)


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


def _gather() -> str:
    try:
        from visioncore_engine.data import native
    except Exception as error:  # noqa: BLE001 - a broken installation is what a doctor has to report
        return f"!! NumPy cannot be used: {type(error).__name__}: {error}"
    reason = native.use("auto")
    return f"by torch, nothing can be compiled: {reason}" if reason else "compiled"


def _folder() -> str:
    try:
        with tempfile.NamedTemporaryFile(dir=".", prefix=".visioncore-"):
            pass
    except OSError as error:
        return f"!! {Path.cwd()} cannot be written: {error.strerror}"
    return f"{Path.cwd()} can be written"
