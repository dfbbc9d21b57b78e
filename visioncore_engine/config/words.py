"""Types and values in plain words, for messages and listings: ``an integer in [0, 10)``, ``text 'fast'``."""

from __future__ import annotations

import math
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

__all__ = ["allows_none", "describe", "given", "hint", "is_mapping", "models_in", "step_into", "unwrap"]

_TRUE_WORDS = ("true", "yes", "on", "y", "t")
_FALSE_WORDS = ("false", "no", "off", "n", "f")
_LENGTH = 60


def unwrap(annotation: Any, metadata: Iterable[Any] = ()) -> tuple[Any, list[Any]]:
    """Take the metadata off an annotation: the bare type, and everything that was said about it."""
    found = list(metadata)
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            found += [item for part in more for item in (part.metadata if isinstance(part, FieldInfo) else (part,))]
        elif isinstance(annotation, FieldInfo):
            found += annotation.metadata
            annotation = annotation.annotation
        else:
            break
    for item in found:
        # A validator that accepts more than the type says so (`Patterns`: one text or several).
        if isinstance(item, BeforeValidator) and isinstance(item.json_schema_input_type, type | types.UnionType):
            return item.json_schema_input_type, [other for other in found if other is not item]
    return annotation, found


def _members(annotation: Any) -> tuple[Any, ...]:
    bare, _ = unwrap(annotation)
    return get_args(bare) if get_origin(bare) in (Union, types.UnionType) else (bare,)


def allows_none(annotation: Any) -> bool:
    """Whether None is one of the values."""
    return any(member in (None, type(None)) for member in _members(annotation))


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """List the pydantic models that an annotation names directly, through Optional and unions."""
    bare = [unwrap(member)[0] for member in _members(annotation)]
    return [member for member in bare if isinstance(member, type) and issubclass(member, BaseModel)]


def is_mapping(annotation: Any) -> bool:
    """Whether a mapping with any keys is one of the values."""
    return any(get_origin(unwrap(member)[0]) in (dict, Mapping) for member in _members(annotation))


def step_into(annotation: Any, part: str | int) -> Any:
    """Return the annotation of what stands at a key or position inside a value; None where there is none."""
    found = [inner for member in _members(annotation) if (inner := _inside(member, part)) is not None]
    # Several members of a union may go on here: a list of numbers, or a list of lists of numbers.
    if len(found) > 1 and not any(isinstance(inner, FieldInfo) for inner in found):
        return reduce(or_, found)
    return found[0] if found else None


def _inside(member: Any, part: str | int) -> Any:
    bare, _ = unwrap(member)
    arguments = get_args(bare)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return bare.model_fields.get(str(part))
    if get_origin(bare) in (dict, Mapping) and isinstance(part, str):
        return arguments[1]
    if get_origin(bare) in (tuple, list, Sequence) and isinstance(part, int):
        if len(arguments) == 1 or Ellipsis in arguments:
            return arguments[0]
        return arguments[part] if part < len(arguments) else None
    return None


def describe(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """Say what is allowed.

    Examples
    --------
    >>> describe(int)
    'an integer'
    >>> describe(tuple[float, ...] | None)
    'a list of numbers or null'
    """
    bare, found = unwrap(annotation, metadata)
    if get_origin(bare) in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(describe(member, found) for member in get_args(bare)))
    return _name(bare) + _limits(found, bare)


def _name(bare: Any) -> str:
    simple = {bool: "true or false", int: "an integer", float: "a number", str: "text", Any: "anything"}
    if bare in (None, type(None)):
        return "null"
    if bare in simple:
        return simple[bare]
    origin, arguments = get_origin(bare), get_args(bare)
    if origin is Literal:
        texts = [_literal(value) for value in arguments]
        return texts[0] if len(texts) == 1 else f"one of {', '.join(texts)}"
    if origin in (tuple, list, Sequence):
        if origin is tuple and Ellipsis not in arguments:
            items = [describe(item) for item in arguments]
            same = items[0] if len(set(items)) == 1 else ""
            return _list_of(same, f"{len(items)} ") if same else f"a list of {len(items)} ({', '.join(items)})"
        return _list_of(describe(arguments[0]))
    if origin in (dict, Mapping):
        return f"a mapping (each value {describe(arguments[1])})"
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return f"a mapping with the keys {', '.join(bare.model_fields)}"
    return getattr(bare, "__name__", str(bare))


def _list_of(item: str, number: str = "") -> str:
    for one, several in (("an integer", "integers"), ("a number", "numbers"), ("text", "texts"), ("a list", "lists")):
        if item.startswith(one) and " or " not in item:
            return f"a list of {number}{several}{item.removeprefix(one)}"
    return f"a list {f'of {number}' if number else ''}(each {item})"


def _literal(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def _limits(metadata: Iterable[Any], bare: Any) -> str:
    """Bounds of a number, length or pattern of a text or list."""
    if bare in (None, type(None), bool) or get_origin(bare) is Literal:
        return ""
    limits: dict[str, Any] = {}
    for item in metadata:
        for name in ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern"):
            value = getattr(item, name, None)
            if value is not None:
                limits[name] = value
    if bare not in (int, float):
        lengths = [f"at least {limits['min_length']} long"] if "min_length" in limits else []
        lengths += [f"at most {limits['max_length']} long"] if "max_length" in limits else []
        pattern = f" that matches {limits['pattern']}" if "pattern" in limits and bare is str else ""
        return f"{pattern} ({', '.join(lengths)})" if lengths else pattern
    low, high = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
    step = f", a multiple of {limits['multiple_of']}" if "multiple_of" in limits else ""
    if low is not None and high is not None:
        return (
            f" in {'[' if 'ge' in limits else '('}{_number(low)}, {_number(high)}{']' if 'le' in limits else ')'}{step}"
        )
    if low is not None:
        return f" {'>=' if 'ge' in limits else '>'} {_number(low)}{step}"
    if high is not None:
        return f" {'<=' if 'le' in limits else '<'} {_number(high)}{step}"
    return step


def _number(value: float) -> str:
    return f"{int(value)}" if float(value).is_integer() else f"{value:g}"


def given(value: Any) -> str:
    """Say what was written, with its type where a reader could mistake it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinity"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return f"text {value if len(value) <= _LENGTH else value[:_LENGTH] + '…'!r}"
    return "a list" if isinstance(value, list) else "a mapping"


def hint(annotation: Any, value: Any) -> str:
    """Say what a value that does not fit was probably meant to be; empty where nobody knows."""
    wanted = {unwrap(member)[0] for member in _members(annotation)}
    shapes = {get_origin(member) for member in wanted}
    if isinstance(value, str) and bool in wanted and value.lower() in (*_TRUE_WORDS, *_FALSE_WORDS):
        return f"write {'true' if value.lower() in _TRUE_WORDS else 'false'}; yes, no, on and off are text here"
    if isinstance(value, str) and wanted & {int, float}:
        return _hint_for_number(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "it must be finite"
    if isinstance(value, float) and int in wanted and value.is_integer():
        return f"write {int(value)}"
    if str in wanted and isinstance(value, bool | int | float):
        return f"quote it: '{given(value)}'"
    if shapes & {dict, Mapping} and not isinstance(value, dict):
        return "write a mapping: {…}"
    if shapes & {tuple, list, Sequence} and value is not None and not isinstance(value, list):
        return "write a list: […]"
    return ""


def _hint_for_number(text: str) -> str:
    if re.fullmatch(r"[-+]?[0-9][0-9_]*(\.[0-9]*)?([eE][-+]?[0-9]+)?", text):
        return f"write {text.replace('_', '')}, without quotes"
    if re.fullmatch(r"[-+]?[0-9]+(:[0-5]?[0-9])+", text):
        return "times are not converted; write one number"
    return ""
