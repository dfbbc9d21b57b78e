"""What losses of responses share. B windows, L predicted frames, N units."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from visioncore_engine.contracts import Group, GroupSpec, LossFacts
from visioncore_engine.errors import ConfigError, Problem
from visioncore_neural.options.loss import ResponseLossOptions
from visioncore_neural.responses import aligned, response_task, responses_of, valid_responses

__all__ = ["MaskedLoss", "Predicted", "means_of"]


class Predicted(NamedTuple):
    """Rates and responses (B, L, N) in which whatever does not count is 1, and what else the model says of them."""

    rates: Tensor
    responses: Tensor
    said: Mapping[str, Tensor]  # "<word>" of outputs "<task>/<word>", (B, L, N), 0 where nothing counts
    group: str


class MaskedLoss(ABC):
    """A sum over valid values per unit, each unit times its fixed weight.

    A value under a false mask is replaced before anything is computed, so that it reaches neither the sum nor a
    gradient, NaN or not. Sums are in float32 at least.

    Parameters
    ----------
    options, facts
        What the user wrote, and the recordings.

    Raises
    ------
    DataError
        Where a group has several targets, or one that is neither counts nor rates.
    ConfigError
        Where units are weighed by their rates and the data do not say these.
    """

    words: tuple[str, ...] = ()  # of outputs ``<task>/<word>`` that the loss knows

    def __init__(self, options: ResponseLossOptions, facts: LossFacts) -> None:
        self._tasks = {group.name: response_task(group)[0] for group in facts.groups}
        self._unit_weights: dict[str, Tensor] = {}
        if options.unit_weights == "inverse_rate":
            key = "loss.unit_weights"
            self._unit_weights = {
                group.name: means_of(group, key).clamp(min=options.rate_floor).reciprocal() for group in facts.groups
            }

    @abstractmethod
    def each(self, predicted: Predicted) -> Tensor:
        """Loss of each value, (B, L, N)."""

    def weights(self, group: Group) -> dict[str, Tensor]:
        """Weigh the valid values of each unit, float64 (N,), by task."""
        task = self._tasks[group.name]
        return {task: self._weighed(group, valid_responses(group, task).sum(dim=(0, 1), dtype=torch.float64))}

    def __call__(self, outputs: Mapping[str, Tensor], group: Group) -> dict[str, Tensor]:
        """Masked sum per unit, (N,), by task."""
        task = self._tasks[group.name]
        rates, responses, valid = responses_of(outputs, group, task)
        dtype = torch.promote_types(rates.dtype, torch.float32)
        one = torch.ones((), dtype=dtype, device=rates.device)
        zero = torch.zeros_like(one)
        said = {
            word: torch.where(valid, aligned(outputs[name], valid.shape[1]).to(dtype), zero)
            for word in self.words
            if (name := f"{task}/{word}") in outputs
        }
        rates = torch.where(valid, rates.to(dtype), one)
        responses = torch.where(valid, responses.to(dtype), one)
        losses = self.each(Predicted(rates, responses, said, group.name))
        return {task: self._weighed(group, torch.where(valid, losses, zero).sum(dim=(0, 1)))}

    def _weighed(self, group: Group, values: Tensor) -> Tensor:
        if not self._unit_weights:
            return values
        return values * self._unit_weights[group.name].to(values.device, values.dtype)


def means_of(group: GroupSpec, key: str) -> Tensor:
    """Mean training response of each unit, float64 (N,); 0 where a unit has no valid training value.

    Parameters
    ----------
    group
        A recording.
    key
        Option that asks for them.

    Raises
    ------
    ConfigError
        Where the data do not say them.
    """
    task, target = response_task(group)
    if not target.mean:
        raise ConfigError(
            Problem(
                what=f"the data do not say the mean of {task} in {group.name}",
                key=key,
                todo="leave the option out, or let the dataset fill in `TargetSpec.mean`",
            )
        )
    return torch.tensor(target.mean, dtype=torch.float64).nan_to_num(nan=0.0)
