"""What processes tell each other: weights before the forward pass, then one sum of gradients and flags per step.

Every process decides from the same sums, so all of them stop, skip or go on alike, without a further word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from visioncore_engine.contracts import Batch, Index
from visioncore_engine.errors import ConfigError, Problem, RunError
from visioncore_engine.objective import Objective, predict

__all__ = [
    "Agreement",
    "Reduction",
    "agree",
    "rank_in_words",
    "reduce_states",
    "sum_over_processes",
    "union_over_processes",
    "world_size",
]


def world_size() -> int:
    """Processes that train together; 1 where there is no process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank_in_words() -> str:
    """`` (rank 1)``, for messages; empty where there is one process only."""
    return f" (rank {dist.get_rank()})" if world_size() > 1 else ""


def sum_over_processes(values: Tensor) -> Tensor:
    """Sum a CPU tensor over all processes, in place."""
    if world_size() > 1:
        dist.all_reduce(values)
    return values


def union_over_processes(names: Iterable[str]) -> list[str]:
    """Names known to any process, sorted."""
    if world_size() == 1:
        return sorted(names)
    everywhere: list[list[str]] = [[]] * world_size()
    dist.all_gather_object(everywhere, list(names))
    return sorted({name for own in everywhere for name in own})


def agree(what: str, value: Mapping[str, Any]) -> None:
    """Check that all processes hold the same plain values; the first collective of a run.

    Raises
    ------
    ConfigError
        On every process, naming each key that differs and its values.
    """
    if world_size() == 1:
        return
    everywhere: list[Mapping[str, Any]] = [{}] * world_size()
    dist.all_gather_object(everywhere, dict(value))
    problems = [
        Problem(
            what=f"processes disagree on {what}",
            key=key,
            given="; ".join(f"rank {rank}: {own.get(key)}" for rank, own in enumerate(everywhere)),
            todo="give every process the same run file, packages and data",
        )
        for key in sorted({key for own in everywhere for key in own})
        if len({repr(own.get(key)) for own in everywhere}) > 1
    ]
    if problems:
        raise ConfigError(*problems)


@dataclass(frozen=True)
class Agreement:
    """What all processes know after a step's reduction: the loss of the global batch, and flags raised anywhere."""

    loss: float
    non_finite: bool
    stop: bool  # a signal came
    end: bool  # a callback has had enough


class Reduction:
    """Adds up weights and gradients over processes.

    A parameter takes part in a step when a group of the *global* batch uses it; the others keep gradient None on every
    process. Which parameters a group uses is found once, by a backward pass over one of its windows.

    Parameters
    ----------
    model
        The model.
    index
        The training windows.
    objective
        The loss; its terms are found here too.
    """

    def __init__(self, model: nn.Module, index: Index, objective: Objective) -> None:
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._terms: list[str] = []
        self._users: dict[int, set[int]] = {}
        if world_size() > 1:
            _refuse_batch_statistics(model)
            self._explore(model, index, objective)

    def _explore(self, model: nn.Module, index: Index, objective: Objective) -> None:
        terms: set[str] = set()
        like = next(model.parameters())
        training = model.training
        model.eval()
        for number, source in enumerate(index.sources):
            if not source.num_items:
                continue
            first = int(np.argmax(index.weights[number]))
            batch = Batch([source.gather(np.array([first], dtype=np.int64))]).to(like.device, like.dtype)
            sums = objective.sums(predict(model, batch), batch)
            terms |= {term for _, term in sums}
            total = torch.stack(list(sums.values())).sum()
            if not total.requires_grad:  # all that this group uses is frozen
                self._users[number] = set()
                continue
            gradients = torch.autograd.grad(total, self._parameters, allow_unused=True)
            self._users[number] = {place for place, gradient in enumerate(gradients) if gradient is not None}
        model.train(training)
        self._terms = sorted(terms)

    def weights(self, own: Mapping[str, float], place: Mapping[str, int]) -> dict[str, float]:
        """Total weight of each term over all processes, float64.

        Parameters
        ----------
        own
            Weight of each term in this process's share.
        place
            Counts that all processes must have alike, such as the step.

        Raises
        ------
        RunError
            Where the processes do not do the same work: a count differs.
        """
        if world_size() == 1:
            return dict(own)
        values = [*(own.get(term, 0.0) for term in self._terms), *map(float, place.values())]
        totals = sum_over_processes(torch.tensor(values, dtype=torch.float64)).tolist()
        num_terms = len(self._terms)
        for (what, count), total in zip(place.items(), totals[num_terms:], strict=True):
            if total != count * world_size():
                raise RunError(
                    f"run failed: the processes disagree on {what}: rank {dist.get_rank()} has {count}, the mean is "
                    f"{total / world_size():g}; a callback does something on some of them only"
                )
        return dict(zip(self._terms, totals[:num_terms], strict=True))

    def gradients(
        self, groups: Iterable[int], loss: float | None, *, non_finite: bool, stop: bool, end: bool
    ) -> Agreement:
        """Sum the gradients of every parameter that `groups` use, with the loss and the flags, in one reduction.

        Parameters
        ----------
        groups
            Groups of the global batch.
        loss
            This process's part of the loss; None where it has no share.
        non_finite, stop, end
            Flags of this process.
        """
        own = loss or 0.0
        if world_size() == 1:
            return Agreement(own, non_finite, stop, end)
        used = sorted(set().union(*(self._users.get(group, set()) for group in groups)))
        parameters = [self._parameters[place] for place in used]
        tail = torch.tensor([own, float(non_finite), float(stop), float(end)])
        flat = torch.cat(
            [
                *(
                    (torch.zeros_like(parameter) if parameter.grad is None else parameter.grad).reshape(-1)
                    for parameter in parameters
                ),
                tail.to(parameters[0]) if parameters else tail,
            ]
        )
        dist.all_reduce(flat)
        start = 0
        for parameter in parameters:
            stop_at = start + parameter.numel()
            parameter.grad = flat[start:stop_at].view_as(parameter)
            start = stop_at
        total, *flags = flat[start:].tolist()
        return Agreement(total, *(flag > 0 for flag in flags))


def _refuse_batch_statistics(model: nn.Module) -> None:
    names = [name for name, part in model.named_modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001 - torch offers no public base
    if names:
        raise ConfigError(
            Problem(
                what=f"batch statistics over several processes are not defined: {', '.join(names[:4])}",
                key="model",
                todo="choose a norm over each frame or example, or train on one device",
            )
        )


def reduce_states(states: Sequence[Tensor]) -> None:
    """Sum float64 statistics over all processes, in place, in one reduction."""
    if world_size() == 1 or not states:
        return
    flat = torch.cat([state.detach().cpu().double().reshape(-1) for state in states])
    dist.all_reduce(flat)
    start = 0
    for state in states:
        state.copy_(flat[start : start + state.numel()].view_as(state))
        start += state.numel()
