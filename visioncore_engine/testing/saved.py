"""State as a checkpoint keeps it: written and read again without running anything."""

from __future__ import annotations

import io
from typing import Any

import torch

from visioncore_engine.plain import unsafe_parts

__all__ = ["expect_plain", "saved_and_loaded"]


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
