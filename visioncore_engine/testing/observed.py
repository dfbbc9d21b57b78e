"""What components do, as nested plain values and arrays, and whether two of them are the same."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

__all__ = ["difference", "expect_same", "flatten"]


def flatten(value: Any, place: str = "") -> dict[str, Any]:
    """Nested mappings, sequences and data classes as one mapping from place to array or plain value."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return {place: (value.float() if value.dtype == torch.bfloat16 else value).numpy()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        parts = [flatten(item, f"{place}[{key!r}]") for key, item in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        parts = [flatten(item, f"{place}[{number}]") for number, item in enumerate(value)]
    else:
        return {place: value}
    return {key: item for part in parts for key, item in part.items()} or {place: type(value).__name__}


def difference(one: Any, other: Any, *, rtol: float = 0.0, atol: float = 0.0) -> str | None:
    """Say where two observations first differ; None where they are the same. NaN is the same as NaN."""
    first, second = flatten(one), flatten(other)
    if list(first) != list(second):
        lacking = [key for key in (*first, *second) if (key in first) != (key in second)]
        return f"{lacking[0] or 'the value'} is only in one of them" if lacking else "their order differs"
    for place, value in first.items():
        text = _unlike(value, second[place], rtol, atol)
        if text:
            return f"{place or 'the value'}: {text}"
    return None


def expect_same(one: Any, other: Any, law: str, *, rtol: float = 0.0, atol: float = 0.0) -> None:
    """Raise an AssertionError that says `law`, and where two observations differ, unless they are the same."""
    text = difference(one, other, rtol=rtol, atol=atol)
    if text:
        raise AssertionError(f"{law}: {text}")


def _unlike(one: Any, other: Any, rtol: float, atol: float) -> str:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return _unlike_arrays(np.asarray(one), np.asarray(other), rtol, atol)
    if isinstance(one, float) and isinstance(other, float):
        alike = math.isclose(one, other, rel_tol=rtol, abs_tol=atol) or (math.isnan(one) and math.isnan(other))
        return "" if alike else f"{one!r} and {other!r}"
    return "" if type(one) is type(other) and one == other else f"{_short(one)} and {_short(other)}"


def _unlike_arrays(one: np.ndarray, other: np.ndarray, rtol: float, atol: float) -> str:
    if one.shape != other.shape or one.dtype != other.dtype:
        return f"{one.dtype} {one.shape} and {other.dtype} {other.shape}"
    if one.dtype.kind not in "fc":
        return "" if np.array_equal(one, other) else f"{int(np.sum(one != other))} of {one.size} values differ"
    alike = np.isclose(one, other, rtol=rtol, atol=atol, equal_nan=True)
    if alike.all():
        return ""
    with np.errstate(invalid="ignore"):
        largest = np.nanmax(np.abs(one - other), initial=0.0)
    return f"{int(np.sum(~alike))} of {one.size} values differ, by up to {largest:g}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
