"""What pydantic found wrong with a block, told in the words of the run file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from visioncore_engine.config.owned import IMPORT_KEYS, PRECISIONS, TRAINER
from visioncore_engine.config.words import describe, given, hint, models_in, step_into
from visioncore_engine.errors import Problem, nearest
from visioncore_engine.secrets import HIDDEN, hides_password, is_secret_key

__all__ = ["FAILED", "KeyPath", "Place", "problems_in"]


class _Failed(str):
    """A text of its own: the same word in a run file is another object."""

    __slots__ = ()


FAILED = _Failed("$failed")
"""Stands in the data for a block that could not be resolved and was told already; known by its identity."""

KeyPath = tuple[str | int, ...]
Place = Callable[[KeyPath], str]
"""Where a path inside a block was written: ``file:line``."""


@dataclass(frozen=True)
class _Mistake:
    """An error of pydantic at a path of the data; `branch` is the member of a union that reports it."""

    path: KeyPath
    type: str
    message: str
    custom: bool
    branch: tuple[KeyPath, str] | None

    @property
    def is_misfit(self) -> bool:
        """The value has the wrong type or is out of bounds: what is allowed can be read from the annotation."""
        return not self.custom and self.type not in ("missing", "extra_forbidden")


def problems_in(model: type[BaseModel], data: Any, error: ValidationError, key: str, place: Place) -> list[Problem]:
    """Translate the errors of one block.

    Parameters
    ----------
    model, data
        The options class, and the plain values that were validated.
    error
        What pydantic reported.
    key
        Dotted key of the block; empty at the top level.
    place
        Where a path inside the block was written, or the nearest thing above it.
    """
    problems: dict[tuple[KeyPath, str], Problem] = {}
    located = [_locate(item, data) for item in error.errors(include_input=False)]
    mistakes = _without_failed_branches(item for item in located if _value(data, item.path) is not FAILED)
    meant = {_meant(model, item.path) for item in mistakes if item.type == "extra_forbidden"}
    for mistake in mistakes:
        if mistake.type == "missing" and mistake.path in meant:
            continue  # it is there, under the misspelt name that is told
        if mistake.is_misfit:
            problem = _misfit(model, data, mistake.path, key, place)
        elif mistake.type == "missing":
            problem = _missing(model, mistake.path, key, place)
        elif mistake.type == "extra_forbidden":
            problem = _unknown(model, mistake.path, key, place)
        else:
            problem = Problem(what=mistake.message, where=place(mistake.path), key=_dotted(key, mistake.path))
        problems.setdefault((mistake.path, problem.what), problem)
    return list(problems.values())


def _locate(error: Any, data: Any) -> _Mistake:
    """Separate the path in the data from the names that pydantic gives to members of unions."""
    path: list[str | int] = []
    branch: tuple[KeyPath, str] | None = None
    current = data
    parts = error["loc"]
    for number, part in enumerate(parts):
        inside = part in current if isinstance(current, dict) else _is_position(current, part)
        if inside:
            path.append(part)
            current = current[part]
        elif error["type"] == "missing" and number == len(parts) - 1 and isinstance(part, str):
            path.append(part)
        elif branch is None:
            branch = tuple(path), str(part)
    # A tuple of fixed length reports a missing position: then its length is what does not fit.
    kind = "too_short" if error["type"] == "missing" and not isinstance(parts[-1], str) else error["type"]
    message = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    custom = "url" not in error or kind in ("value_error", "assertion_error")
    return _Mistake(tuple(path), kind, message, custom, branch)


def _is_position(current: Any, part: str | int) -> bool:
    return isinstance(current, list) and isinstance(part, int) and part < len(current)


def _without_failed_branches(mistakes: Iterable[_Mistake]) -> list[_Mistake]:
    """Keep, of every union, the errors of the member that was meant: the one that got furthest into the value."""
    kept: list[_Mistake] = []
    unions: dict[KeyPath, dict[str, list[_Mistake]]] = defaultdict(lambda: defaultdict(list))
    for mistake in mistakes:
        if mistake.branch is None:
            kept.append(mistake)
        else:
            at, member = mistake.branch
            unions[at][member].append(mistake)
    for at, members in unions.items():
        every = list(members.values())
        entered = [found for found in every if not all(item.path == at and item.is_misfit for item in found)]
        furthest: list[_Mistake] = min(entered, key=len) if entered else every[0][:1]
        kept += furthest
    return kept


def _dotted(key: str, path: KeyPath) -> str:
    return ".".join(filter(None, (key, *map(str, path))))


def _annotation(model: type[BaseModel], path: KeyPath) -> Any:
    found: Any = model
    for part in path:
        found = step_into(found, part)
    return found


def _owner(model: type[BaseModel], path: KeyPath) -> tuple[str, ...]:
    """Keys that are allowed beside the last one of a path."""
    models = models_in(_annotation(model, path[:-1]))
    return tuple(dict.fromkeys(name for found in models for name in found.model_fields))


def _value(data: Any, path: KeyPath) -> Any:
    """Return the value at a path; None for a key that is missing."""
    for part in path:
        if isinstance(data, dict) and part not in data:
            return None
        data = data[part]
    return data


def _meant(model: type[BaseModel], path: KeyPath) -> KeyPath | None:
    """KeyPath of the key that an unknown one was probably meant to be."""
    close = nearest(str(path[-1]), _owner(model, path))
    return (*path[:-1], close) if close else None


def _misfit(model: type[BaseModel], data: Any, path: KeyPath, key: str, place: Place) -> Problem:
    value = _value(data, path)
    annotation = _annotation(model, path)
    full = _dotted(key, path)
    todo = hint(annotation, value)
    if full == "trainer.precision":
        meant = PRECISIONS.get(str(value).lower(), "")
        todo = f"write {meant}" if meant else ""
    if not todo and isinstance(value, str):
        close = nearest(value, describe(annotation).split("'")[1::2])
        todo = f"did you mean {close!r}?" if close else ""
    shown = HIDDEN if is_secret_key(str(path[-1]) if path else "") or hides_password(value) else given(value)
    return Problem(what=f"expected {describe(annotation)}", where=place(path), key=full, given=shown, todo=todo)


def _missing(model: type[BaseModel], path: KeyPath, key: str, place: Place) -> Problem:
    annotation = _annotation(model, path)
    description = getattr(annotation, "description", None)
    explained = f": {description} ({describe(annotation)})" if description else f": {describe(annotation)}"
    what = f"the required key {path[-1]!r} is missing{explained}"
    return Problem(what=what, where=place(path[:-1]), key=_dotted(key, path))


def _unknown(model: type[BaseModel], path: KeyPath, key: str, place: Place) -> Problem:
    name = str(path[-1])
    full = _dotted(key, path)
    where = place(path)
    if name in IMPORT_KEYS:
        return Problem(what="import paths are not allowed", where=where, key=full, todo="use a registered name: `name`")
    if full == f"trainer.{name}" and name in TRAINER:
        return Problem(what="the engine owns this argument of the Trainer", where=where, key=full, todo=TRAINER[name])
    allowed = _owner(model, path)
    close = nearest(name, allowed)
    head = f"did you mean {close!r}? " if close else ""
    if name.partition(".")[0] in allowed:
        head = "a key with dots is written as nested mappings; "
    return Problem(what=f"unknown key {name!r}", where=where, key=full, todo=f"{head}allowed: {', '.join(allowed)}")
