"""What may go into a checkpoint: plain values and tensors, which load without running anything."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

__all__ = ["unsafe_parts"]

# Exact types: an Enum that is a str, or a NumPy float that is a float, is saved as what it is and not loaded again.
_LEAVES = (type(None), bool, int, float, str, bytes)


def unsafe_parts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Parts of nested values that ``torch.load(weights_only=True)`` would not give back: place and type of each.

    Parameters
    ----------
    value
        The values.
    place
        Where they stand.
    """
    if type(value) in (dict, OrderedDict):
        for key, item in value.items():
            if type(key) not in _LEAVES:
                yield place, f"a key of type {type(key).__name__}"
            yield from unsafe_parts(item, f"{place}[{key!r}]")
    elif type(value) in (list, tuple):
        for number, item in enumerate(value):
            yield from unsafe_parts(item, f"{place}[{number}]")
    elif not (type(value) in _LEAVES or type(value) in (Tensor, torch.nn.Parameter) or _comes_back(value)):
        yield place, f"a {type(value).__name__}"


def _comes_back(value: Any) -> bool:
    """Whether a value of any other type is the same after it was saved and loaded."""
    file = io.BytesIO()
    try:
        torch.save(value, file)
        file.seek(0)
        return bool(torch.load(file, weights_only=True) == value)
    except (pickle.PickleError, AttributeError, TypeError, ValueError, RuntimeError):
        # Whatever pickle, torch or the value's own comparison raise: it is not the same.
        return False
