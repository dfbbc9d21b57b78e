"""From a model's outputs to one number: cropping, masked terms, and the global weight that divides them."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import Batch, Clock, Group, Loss, Regularizer
from visioncore_engine.errors import ConfigError, Problem
from visioncore_engine.schedule import Schedule, value_at

__all__ = ["AUXILIARY", "PENALTY", "Objective", "OutputPenalty", "predict"]

AUXILIARY = "auxiliary/"
"""How the names of a model's own losses begin, among its outputs and among the terms of the loss."""

PENALTY = "penalty/"
"""How the names of penalties on outputs begin, among the terms of the loss."""


@dataclass(frozen=True)
class OutputPenalty:
    """A regularizer of outputs, the patterns of their names, and the schedule of its strength."""

    id: str
    regularizer: Regularizer
    match: tuple[str, ...]
    strength: float | Schedule
    where: str = ""

    def of(self, output: Mapping[str, Tensor], counted: Tensor) -> Tensor:
        """Sum of the penalty over the predictions of a group that count, before its strength.

        Raises
        ------
        ConfigError
            Where a pattern matches no output.
        """
        for pattern in self.match:
            if not fnmatch.filter(output, pattern):
                raise ConfigError(
                    Problem(
                        what=f"pattern matches no output; outputs are: {', '.join(output)}",
                        where=self.where,
                        key=f"regularizers.{self.id}.match",
                        given=repr(pattern),
                    )
                )
        shown = {}
        for name, value in output.items():
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in self.match):
                mask = counted.reshape(counted.shape + (1,) * (value.ndim - counted.ndim))
                shown[name] = torch.where(mask, value, torch.zeros_like(value))
        penalty = self.regularizer.penalty(shown)
        assert penalty is not None, "`build` refuses regularizers that have none"
        return penalty


def predict(model: nn.Module, batch: Batch) -> list[dict[str, Tensor]]:
    """Outputs of `model` for each group, cropped to the last L predicted frames where a group is a sequence.

    Half-precision outputs are widened to float32: losses and metrics take logarithms and differences.
    """
    outputs: list[dict[str, Tensor]] = model(batch)
    return [
        {task: _crop(value, group) for task, value in output.items()}
        for output, group in zip(outputs, batch.groups, strict=True)
    ]


def _crop(output: Tensor, group: Group) -> Tensor:
    if output.dtype in (torch.bfloat16, torch.float16):
        output = output.float()
    if group.mask.ndim < 2 or output.ndim < 2:
        return output
    length = group.mask.shape[1]
    return output[:, -length:] if output.shape[1] > length else output


class Objective:
    """A loss with the fixed coefficients of its groups.

    Parameters
    ----------
    loss
        The loss.
    coefficients
        Per group in the dataset's order: task -> float64 (N,) or (1,).
    auxiliary
        Weight of each loss that the model brings itself (`contracts.Model`).
    penalties
        Regularizers of outputs.
    """

    def __init__(
        self,
        loss: Loss,
        coefficients: Sequence[Mapping[str, Tensor]],
        auxiliary: Mapping[str, float] | None = None,
        penalties: Sequence[OutputPenalty] = (),
    ) -> None:
        self.loss = loss
        self.auxiliary = dict(auxiliary or {})
        self.penalties = tuple(penalties)
        self._clock = Clock(0, 0.0, 0.0)
        self._coefficients = [{task: value.double() for task, value in group.items()} for group in coefficients]
        self._plain = [
            {task for task, value in group.items() if bool((value == 1).all())} for group in self._coefficients
        ]  # tasks in which everything weighs 1: nothing is multiplied there

    def at(self, clock: Clock) -> None:
        """Take the strength of every penalty at a moment of training."""
        self._clock = clock

    def scored(self) -> Objective:
        """Return the loss that a validation reports: without penalties, whose strength depends on the moment."""
        return Objective(self.loss, self._coefficients, self.auxiliary)

    @property
    def extra_terms(self) -> list[str]:
        """Terms that are neither a task nor a part of one: the model's own losses, and penalties on outputs."""
        return [*(AUXILIARY + name for name in sorted(self.auxiliary)), *(PENALTY + own.id for own in self.penalties)]

    def _weighed(self, term: str, group: Group, value: Tensor) -> Tensor:
        """Sum of a value per column, times the columns' coefficients."""
        # A term is named by its task, or "<task>/<part>" where a task has several.
        task = term.partition("/")[0]
        if task in self._plain[group.index]:
            return value.sum()
        return (value * self._coefficients[group.index][task].to(value.device, value.dtype)).sum()

    def weights(self, batches: Sequence[Batch]) -> dict[str, float]:
        """Total weight of each term over micro-batches, before any forward pass."""
        totals: dict[str, float] = {}
        for batch in batches:
            for group in batch.groups:
                for term, weight in self.loss.weights(group).items():
                    part = self._weighed(term, group, weight.double().cpu()).item()
                    totals[term] = totals.get(term, 0.0) + part
                for term in self.extra_terms:
                    totals[term] = totals.get(term, 0.0) + float(_counted(group).sum())
        return totals

    def sums(self, outputs: Sequence[Mapping[str, Tensor]], batch: Batch) -> dict[tuple[str, str], Tensor]:
        """Weighed masked sums, scalars with gradient, by (group, term)."""
        sums: dict[tuple[str, str], Tensor] = {}
        for output, group in zip(outputs, batch.groups, strict=True):
            for term, value in self.loss(output, group).items():
                sums[group.name, term] = self._weighed(term, group, value)
            for name, weight in self.auxiliary.items():
                value, counted = output[AUXILIARY + name], _counted(group)
                sums[group.name, AUXILIARY + name] = weight * torch.where(counted, value, torch.zeros_like(value)).sum()
            for penalty in self.penalties:
                strength = value_at(penalty.strength, self._clock)
                sums[group.name, PENALTY + penalty.id] = strength * penalty.of(output, _counted(group))
        return sums

    @staticmethod
    def auxiliary_part(sums: Mapping[tuple[str, str], Tensor], weights: Mapping[str, float]) -> dict[str, float]:
        """Contribution of each of the model's own losses, and of each penalty, to `total`, by term."""
        parts: dict[str, float] = {}
        for (_, term), value in sums.items():
            if term.startswith((AUXILIARY, PENALTY)) and weights[term] > 0:
                parts[term] = parts.get(term, 0.0) + float(value.detach()) / weights[term]
        return parts

    @staticmethod
    def total(sums: Mapping[tuple[str, str], Tensor], weights: Mapping[str, float]) -> Tensor | None:
        """Sum over terms of sum / weight; None where nothing in the step counts."""
        parts = [value / weights[term] for (_, term), value in sums.items() if weights[term] > 0]
        if len(parts) == 1:
            return parts[0]
        return torch.stack(parts).sum() if parts else None


def _counted(group: Group) -> Tensor:
    """Predictions in which a target counts, bool (B, L) or (B,)."""
    return group.mask if group.mask.ndim < 2 else group.mask.any(dim=-1)
