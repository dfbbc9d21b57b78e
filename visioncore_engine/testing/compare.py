"""What differs between two things that a component did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

__all__ = ["differences", "same"]


def same(left: Any, right: Any) -> bool:
    """Whether nothing differs: to the bit, NaN like NaN."""
    return next(differences(left, right), None) is None


def differences(left: Any, right: Any, place: str = "") -> Iterator[str]:
    """Say where two nested values differ.

    Parameters
    ----------
    left, right
        Arrays, tensors, mappings, sequences and plain values.
    place
        Where they stand.
    """
    left, right = _array(left), _array(right)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for key in dict.fromkeys((*left, *right)):
            if key in left and key in right:
                yield from differences(left[key], right[key], f"{place}[{key!r}]")
            else:
                yield f"{place}[{key!r}] is only in one"
    elif isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        yield from _array_difference(left, right, place)
    elif _is_sequence(left) and _is_sequence(right):
        if len(left) != len(right):
            yield f"{place}: {len(left)} and {len(right)} items"
        for number, (one, other) in enumerate(zip(left, right, strict=False)):
            yield from differences(one, other, f"{place}[{number}]")
    elif type(left) is not type(right) or not (left == right or (left != left and right != right)):  # noqa: PLR0124 - NaN
        yield f"{place}: {left!r} and {right!r}"


def _array(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    return value


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _array_difference(left: np.ndarray, right: np.ndarray, place: str) -> Iterator[str]:
    if left.dtype != right.dtype or left.shape != right.shape:
        yield f"{place}: {left.dtype} {left.shape} and {right.dtype} {right.shape}"
    elif not np.array_equal(left, right, equal_nan=left.dtype.kind in "fc"):
        differs = left != right
        if left.dtype.kind in "fc":
            differs &= ~(np.isnan(left) & np.isnan(right))
        where = tuple(int(axis) for axis in np.argwhere(differs)[0])
        yield f"{place}: {int(differs.sum())} of {left.size} values differ, the first at {where}"
