"""From arguments of ``visioncore data`` to typed options and readers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from visioncore_engine import discover
from visioncore_engine.component import resolve_address
from visioncore_engine.errors import DataError, Problem, UsageError, nearest
from visioncore_engine.options import Options

__all__ = ["options_of", "reader_of", "sessions_below"]

AnyOptions = TypeVar("AnyOptions", bound=Options)


@dataclass(frozen=True)
class _ReaderFacts:
    """Stands for `contracts.ReaderFacts`, whose module imports torch; no reader needs more than the path."""

    path: Path


def options_of(model: type[AnyOptions], sets: Iterable[str], more: Mapping[str, Any] | None = None) -> AnyOptions:
    """Typed options from ``key=value`` texts.

    Raises
    ------
    UsageError
        With every mistake.
    """
    content = dict(more or {})
    for text in sets:
        key, value = _pair(text, "--set")
        content[key] = _value(value)
    try:
        return model.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise UsageError(*(_mistake(model, item) for item in error.errors())) from error


def reader_of(arguments: argparse.Namespace, path: Path) -> Any:
    """Build the reader that the arguments name, for one file."""
    entry = discover().find("reader", arguments.reader)
    model = resolve_address(entry.component.options or "visioncore_engine.options:Options", entry.home)
    more: dict[str, Any] = {}
    if arguments.key:
        pairs = [_pair(text, "--key") for text in arguments.key]
        more["keys"] = {ours: theirs or None for ours, theirs in pairs}
    if arguments.axes is not None:
        more["axes"] = arguments.axes
    options = options_of(model, arguments.sets, more)
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


def _value(text: str) -> Any:
    """JSON where it is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _mistake(model: type[Options], item: Any) -> Problem:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        close = nearest(key, model.model_fields)
        todo = f"did you mean {close!r}?" if close else f"options: {', '.join(model.model_fields)}"
        return Problem(where="--set", key=key, what="no such option", todo=todo)
    return Problem(where="--set", key=key, what=str(item["msg"]), given=repr(item["input"]))
