"""State as a checkpoint keeps it: written and read again without running anything."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import torch

from visioncore_engine.plain import unsafe_parts

__all__ = ["expect_plain", "moved_numbers", "saved_and_loaded"]


def expect_plain(state: Any) -> None:
    """Raise an AssertionError that names the part of a state which a checkpoint could not hold, if there is one."""
    for place, kind in unsafe_parts(dict(state)):
        raise AssertionError(
            f"the state holds {kind} at {place or 'its top'}: only plain values and tensors load again"
        )


def saved_and_loaded(state: Any) -> Any:
    """Bring a state through a file, as a resume does; it shares nothing with the original.

    Raises
    ------
    AssertionError
        Where it cannot be loaded.
    """
    expect_plain(state)
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def moved_numbers(state: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Copies of a state in each of which one number (or tensor) that is no integer is another one, and where it is.

    Parameters
    ----------
    state
        Nested plain values and tensors.
    place
        Where they stand.
    """
    if isinstance(state, dict):
        for key, item in state.items():
            yield from ((where, {**state, key: moved}) for where, moved in moved_numbers(item, f"{place}[{key!r}]"))
    elif isinstance(state, list | tuple):
        for number, item in enumerate(state):
            for where, moved in moved_numbers(item, f"{place}[{number}]"):
                yield where, type(state)((*state[:number], moved, *state[number + 1 :]))
    elif isinstance(state, float) or (isinstance(state, torch.Tensor) and state.is_floating_point()):
        yield place, state * 1.25 + 0.5
