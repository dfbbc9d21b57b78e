"""Predictions, responses and masks of a group, brought to one shape. B windows, L predicted frames, N units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from visioncore_engine.contracts import Group, GroupSpec, TargetSpec
from visioncore_engine.errors import DataError, Problem

__all__ = ["Responses", "aligned", "response_task", "responses_of", "tasks_of", "valid_responses"]

_KINDS = ("counts", "rates")


class Responses(NamedTuple):
    """Rates, responses and what counts, each (B, L, N); values where `valid` is False may be anything."""

    rates: Tensor
    responses: Tensor
    valid: Tensor


def response_task(group: GroupSpec) -> tuple[str, TargetSpec]:
    """Name and specification of the one response that a recording has.

    Raises
    ------
    DataError
        Where the group has no target or several, or one that is neither counts nor rates.
    """
    if len(group.targets) != 1:
        raise DataError(
            Problem(
                where=group.name,
                what="a recording has exactly one target here",
                given=", ".join(group.targets) or "none",
                todo="choose data with one target per group",
            )
        )
    ((task, target),) = group.targets.items()
    if target.kind not in _KINDS:
        raise DataError(
            Problem(
                where=group.name,
                key=f"targets.{task}",
                what=f"rates are predicted for targets of kind {' or '.join(_KINDS)}",
                given=repr(target.kind),
                todo="choose a model, loss and metrics for that kind",
            )
        )
    return task, target


def aligned(rates: Tensor, length: int) -> Tensor:
    """Last `length` frames of (B, L', N): outputs may begin earlier than the responses, both end together."""
    return rates[:, rates.shape[1] - length :]


def valid_responses(group: Group, task: str) -> Tensor:
    """Mask of a group, broadcast to its responses: bool (B, L, N)."""
    return group.mask.expand_as(group.targets[task])


def responses_of(outputs: Mapping[str, Tensor], group: Group, task: str) -> Responses:
    """Rates, responses and valid values of one group, all (B, L, N)."""
    responses = group.targets[task]
    return Responses(aligned(outputs[task], responses.shape[1]), responses, valid_responses(group, task))


def tasks_of(groups: Sequence[GroupSpec]) -> dict[str, str]:
    """Name of the response of each group, by the group's name."""
    return {group.name: response_task(group)[0] for group in groups}
