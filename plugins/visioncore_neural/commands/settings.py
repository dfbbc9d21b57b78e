"""From arguments of ``visioncore data`` to typed options and readers."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visioncore_engine import discover, resolve_part
from visioncore_engine.component import resolve_address
from visioncore_engine.errors import DataError, Problem, UsageError

__all__ = ["reader_of", "sessions_below"]


@dataclass(frozen=True)
class _ReaderFacts:
    """Stands for `contracts.ReaderFacts`, whose module imports torch; no reader needs more than the path."""

    path: Path


def reader_of(arguments: argparse.Namespace, path: Path) -> Any:
    """Build the reader that the arguments name, for one file."""
    registry = discover()
    entry = registry.find("reader", arguments.reader)
    model = resolve_address(entry.component.options or "visioncore_engine.options:Options", entry.home)
    content: dict[str, Any] = {}
    if arguments.key:
        pairs = [_pair(text, "--key") for text in arguments.key]
        content["keys"] = {ours: theirs or None for ours, theirs in pairs}
    if arguments.axes is not None:
        content["axes"] = arguments.axes
    options = resolve_part(model, content, registry, sets=arguments.sets)
    # Called by its address: `Choice.build` compares what comes back with a contract whose module imports torch.
    return resolve_address(entry.component.build, entry.home)(options, _ReaderFacts(path))


def sessions_below(folders: Iterable[Path], arguments: argparse.Namespace) -> list[Path]:
    """Sessions that paths name: a path itself, or what a folder holds that the reader accepts.

    Raises
    ------
    DataError
        Where a path is not there, or a folder holds no session.
    """
    found: dict[Path, None] = {}
    for folder in folders:
        if not folder.exists():
            raise DataError(Problem(where=str(folder), what="no such file or folder"))
        inside = [path for path in sorted(folder.iterdir()) if _accepts(arguments, path)] if folder.is_dir() else []
        if _accepts(arguments, folder) or not folder.is_dir():
            inside = [folder]
        if not inside:
            todo = "name a session folder, or another `--reader`"
            raise DataError(Problem(where=str(folder), what=f"holds nothing that {arguments.reader} reads", todo=todo))
        found.update(dict.fromkeys(inside))
    return list(found)


def _accepts(arguments: argparse.Namespace, path: Path) -> bool:
    accepts = getattr(reader_of(arguments, path), "accepts", None)
    return True if accepts is None else bool(accepts())


def _pair(text: str, flag: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(Problem(where=flag, what="is written key=value", given=repr(text)))
    return key, value
