"""Masked Poisson loss. B windows, L predicted frames, N units."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from visioncore_engine.contracts import Group, LossFacts
from visioncore_neural.options.loss import PoissonOptions
from visioncore_neural.responses import aligned, responses_of, tasks_of, valid_responses

__all__ = ["Poisson"]


class Poisson:
    """Poisson negative log-likelihood per unit: the sum of ``rate - k log(rate + eps)`` over valid values.

    ``log k!`` is left out, it does not depend on the model. A value under a false mask is replaced before the
    logarithm, so that it reaches neither the sum nor a gradient, NaN or not. Where a model gives the logarithm of its
    rates, as ``<task>/log_rate``, that is taken in place of ``log(rate + eps)``: it has a gradient at any rate.

    Raises
    ------
    DataError
        Where a group has several targets, or one that is neither counts nor rates.
    """

    def __init__(self, options: PoissonOptions, facts: LossFacts) -> None:
        self._eps = options.eps
        self._tasks = tasks_of(facts.groups)

    def weights(self, group: Group) -> dict[str, Tensor]:
        """Count the valid values per unit, float64 (N,), by task."""
        task = self._tasks[group.name]
        return {task: valid_responses(group, task).sum(dim=(0, 1), dtype=torch.float64)}

    def __call__(self, outputs: Mapping[str, Tensor], group: Group) -> dict[str, Tensor]:
        """Masked sum per unit, (N,), by task; at least float32 whatever the precision of the outputs."""
        task = self._tasks[group.name]
        rates, counts, valid = responses_of(outputs, group, task)
        dtype = torch.promote_types(rates.dtype, torch.float32)
        one = torch.ones((), dtype=dtype, device=rates.device)
        rates = torch.where(valid, rates.to(dtype), one)
        counts = torch.where(valid, counts.to(dtype), one)
        given = outputs.get(f"{task}/log_rate")
        log_rates = torch.log(rates + self._eps) if given is None else aligned(given, valid.shape[1]).to(dtype)
        losses = rates - counts * log_rates
        return {task: torch.where(valid, losses, torch.zeros_like(one)).sum(dim=(0, 1))}
