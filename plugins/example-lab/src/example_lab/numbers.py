"""Predicted and measured numbers of a group, brought to one shape. B windows, L predicted frames, N columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from visioncore_engine.contracts import Group, GroupSpec
from visioncore_engine.errors import DataError, Problem

__all__ = ["Numbers", "numbers_of", "tasks_of"]

_KINDS = ("counts", "rates", "values")


class Numbers(NamedTuple):
    """What was predicted, what was measured, and which of it counts; each (B, N) or (B, L, N).

    Both hold 0 where `valid` is False, so that nothing under a mask reaches a sum or a gradient.
    """

    predicted: Tensor
    measured: Tensor
    valid: Tensor


def tasks_of(groups: Sequence[GroupSpec]) -> dict[str, str]:
    """Name of the one target of each group.

    Raises
    ------
    DataError
        Where a group has several targets, or one that holds no numbers.
    """
    problems = [
        Problem(
            where=group.name,
            what=f"needs one target of numbers ({', '.join(_KINDS)})",
            given=", ".join(f"{name}: {target.kind}" for name, target in group.targets.items()) or "none",
        )
        for group in groups
        if [target.kind in _KINDS for target in group.targets.values()] != [True]
    ]
    if problems:
        raise DataError(*problems)
    return {group.name: next(iter(group.targets)) for group in groups}


def numbers_of(outputs: Mapping[str, Tensor], group: Group, task: str, dtype: torch.dtype) -> Numbers:
    """Bring outputs and target together; outputs of sequences may begin earlier, both end together."""
    measured, predicted = group.targets[task], outputs[task]
    if measured.ndim == 3:
        predicted = predicted[:, predicted.shape[1] - measured.shape[1] :]
    valid = group.mask.expand_as(measured)
    zero = torch.zeros((), dtype=dtype, device=measured.device)
    return Numbers(torch.where(valid, predicted.to(dtype), zero), torch.where(valid, measured.to(dtype), zero), valid)
