"""Other valid values of an option, derived from its type, its bounds and its members."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from visioncore_engine.config.words import unwrap
from visioncore_engine.options import Choice, Slot, slots
from visioncore_engine.registry import Registry

__all__ = ["own_options", "variations"]

_MOST = 12  # values tried of one option


def own_options(options: type[BaseModel], base: type[BaseModel]) -> tuple[str, ...]:
    """Options of a class that are not those of every component of its kind, which the engine carries out."""
    return tuple(name for name in options.model_fields if name not in base.model_fields)


def variations(options: BaseModel, name: str, registry: Registry) -> tuple[Any, ...]:
    """Other values of an option, as a run file would say them; some may not be valid beside the other options.

    Parameters
    ----------
    options
        The options as they are.
    name
        Which of them is to vary.
    registry
        Where other components for a slot are found.
    """
    slot = slots(type(options)).get(name)
    current = options.model_dump(mode="json")[name]
    found = _slot(slot, getattr(options, name), registry) if slot else _of(type(options).model_fields[name], current)
    kept: list[Any] = []
    for value in islice(found, 4 * _MOST):
        if value != current and value not in kept:
            kept.append(value)
    return tuple(kept[:_MOST])


def _slot(slot: Slot, value: Any, registry: Registry) -> Iterator[Any]:
    names = registry.names(slot.kind)
    if slot.many:
        yield from ([name] for name in names)
        yield from ([*(choice.name for choice in value), name] for name in names)
    else:
        chosen = value.name if isinstance(value, Choice) else None
        yield from (name for name in names if name != chosen)


def _of(annotation: Any, current: Any) -> Iterator[Any]:
    bare, metadata = unwrap(annotation)
    if isinstance(annotation, FieldInfo):
        metadata = [*annotation.metadata, *metadata]
    if get_origin(bare) in (Union, _union()):
        for member in get_args(bare):
            inner, more = unwrap(member)
            yield from _bare(inner, [*metadata, *more], current)
    else:
        yield from _bare(bare, metadata, current)


def _union() -> Any:
    return type(int | str)


def _bare(bare: Any, metadata: Sequence[Any], current: Any) -> Iterator[Any]:
    if bare in (None, type(None)):
        yield None
    elif bare is bool:
        yield from (True, False)
    elif bare is int:
        yield from _numbers(metadata, current, whole=True)
    elif bare is float:
        yield from _numbers(metadata, current, whole=False)
    elif bare is str:
        yield from _texts(current)
    elif get_origin(bare) is Literal:
        yield from get_args(bare)
    elif get_origin(bare) in (tuple, list):
        yield from _sequences(bare, metadata, current)
    elif isinstance(bare, type) and issubclass(bare, BaseModel) and isinstance(current, dict):
        for name, field in bare.model_fields.items():
            yield from ({**current, name: value} for value in _of(field, current.get(name)))


def _numbers(metadata: Sequence[Any], current: Any, *, whole: bool) -> Iterator[Any]:
    low, high = _bound(metadata, "ge", "gt"), _bound(metadata, "le", "lt")
    number = isinstance(current, int | float) and not isinstance(current, bool)
    guesses: list[float] = [current + 1, current * 2, current / 2, current - 1, current + 0.25] if number else []
    if low is not None and high is not None:
        guesses += [(low + high) / 2, low + 0.25 * (high - low), low + 0.75 * (high - low)]
    guesses += [1, 2, 3, 0.5, 5, 0.1, 10]
    guesses += [bound for bound in (low, high) if bound is not None]
    for guess in guesses:
        value = int(guess) if whole else float(guess)
        if (low is None or value >= low) and (high is None or value <= high):
            yield value


def _bound(metadata: Sequence[Any], *names: str) -> float | None:
    for item in metadata:
        for name in names:
            value = getattr(item, name, None)
            if isinstance(value, int | float):
                return float(value)
    return None


def _texts(current: Any) -> Iterator[Any]:
    if isinstance(current, str) and current:
        stem, dot, suffix = current.rpartition(".")
        yield f"{stem}2{dot}{suffix}" if stem and suffix.isalpha() else f"{current}2"
    yield from ("other", "val/loss")


def _sequences(bare: Any, metadata: Sequence[Any], current: Any) -> Iterator[Any]:
    items = list(current) if isinstance(current, list | tuple) else []
    inner = get_args(bare)
    for place, item in enumerate(items):
        annotation = inner[min(place, len(inner) - 1)]
        if annotation is Ellipsis:
            annotation = inner[0]
        yield from ([*items[:place], value, *items[place + 1 :]] for value in islice(_of(annotation, item), 4))
    if not items or Ellipsis in inner:
        yield from ([*items, value] for value in islice(_of(inner[0], None), 4))
        if len(items) > 1:
            yield items[:-1]
    if not items and Ellipsis not in inner:
        yield from (list(pair) for pair in zip(*(list(islice(_of(part, None), 3)) for part in inner), strict=False))
