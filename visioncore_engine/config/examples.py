"""An example block for a component: every option, with its default or with a value that its type allows."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from visioncore_engine.config.words import unwrap
from visioncore_engine.errors import PluginError
from visioncore_engine.options import Choice, Options, Patterns, Slot, slots
from visioncore_engine.registry import Entry, Registry

__all__ = ["default_of", "example_of"]

_PATTERN = unwrap(Patterns)[0]
_DEPTH = 4  # slots in slots in slots; a circle of kinds ends somewhere


def example_of(registry: Registry, entry: Entry, model: type[Options]) -> dict[str, Any]:
    """Plain values of a block; what stands in a slot is the first component that is installed.

    Parameters
    ----------
    registry
        The plugins to fill slots from.
    entry, model
        The component and its options class.
    """
    alone = registry.candidates(entry.kind, entry.name) == (entry,)
    return {"name": entry.name if alone else entry.reference, **_fields(registry, model, _DEPTH)}


def default_of(field: FieldInfo) -> Any:
    """Plain value of an option's default."""
    value = field.get_default(call_default_factory=True, validated_data={})
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _fields(registry: Registry, model: type[BaseModel], depth: int) -> dict[str, Any]:
    found, content = slots(model), {}
    for name, field in model.model_fields.items():
        if name in found:
            if field.is_required() and not found[name].default:
                content[name] = _slot(registry, found[name], depth)
        elif field.examples:  # of an optional one too: where one of several must be written
            content[name] = field.examples[0]
        elif field.is_required():
            content[name] = _sample(registry, field, (), depth)
        else:
            content[name] = default_of(field)
    return content


def _slot(registry: Registry, slot: Slot, depth: int) -> Any:
    fitting = _fitting(registry, slot.kind) if depth else {}
    if not fitting:
        return [] if slot.many else None
    # One that is made of others comes last: it may be made of its own kind.
    name, model = min(fitting.items(), key=lambda item: len(_needed(item[1]) & set(slots(item[1]))))
    values = _fields(registry, model, depth - 1)
    block = {"name": name, **{word: value for word, value in values.items() if word in _needed(model)}}
    return [block] if slot.many else block


def _fitting(registry: Registry, kind: str) -> dict[str, type[BaseModel]]:
    """Components of a kind that a bare name means, with their options."""
    from visioncore_engine.config.classes import options_class

    found: dict[str, type[BaseModel]] = {}
    for name in registry.names(kind):
        entries = registry.candidates(kind, name)
        with suppress(PluginError):  # another component's fault, told when that one is shown
            if len(entries) == 1:
                found[name] = options_class(entries[0])
    return found


def _needed(model: type[BaseModel]) -> set[str]:
    return {name for name, field in model.model_fields.items() if field.is_required()}


def _sample(registry: Registry, annotation: Any, metadata: Sequence[Any], depth: int) -> Any:
    """Some value of a type within its bounds."""
    bare, found = unwrap(annotation, metadata)
    if bare == _PATTERN:
        return "*"
    if get_origin(bare) in (Union, types.UnionType):
        return _sample(registry, get_args(bare)[0], found, depth)
    if get_origin(bare) is Literal:
        return get_args(bare)[0]
    if get_origin(bare) in (tuple, list, Sequence):
        return _items(registry, get_args(bare), found, depth)
    if get_origin(bare) in (dict, Mapping):
        return {}
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return _fields(registry, bare, depth)
    if bare in (int, float):
        return _number(bare, found)
    return {bool: False, str: "x" * _limit(found, "min_length", 1), Choice: None}.get(bare)


def _items(registry: Registry, inner: tuple[Any, ...], found: Sequence[Any], depth: int) -> list[Any]:
    if len(inner) == 1 or Ellipsis in inner:
        return [_sample(registry, inner[0], (), depth)] * _limit(found, "min_length", 1)
    return [_sample(registry, item, (), depth) for item in inner]


def _number(kind: type, found: Sequence[Any]) -> float:
    lowest, above = _limit(found, "ge", None), _limit(found, "gt", None)
    highest, below = _limit(found, "le", None), _limit(found, "lt", None)
    ends = [bound for bound in (highest, below) if bound is not None]
    start = lowest if lowest is not None else above
    if kind is int:
        value = 1 if start is None or lowest == 0 else int(start) + (lowest is None)
        return int(min([value, *(end - (end == below) for end in ends)]))
    if start is None:
        return float(min([1.0, *(end / 2 for end in ends)]))
    return float(start + min([1.0, *((end - start) / 2 for end in ends)]))


def _limit(found: Sequence[Any], name: str, otherwise: Any) -> Any:
    return next((value for item in found if (value := getattr(item, name, None)) is not None), otherwise)
