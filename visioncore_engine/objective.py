"""From a model's outputs to one number: cropping, masked terms, and the global weight that divides them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import Batch, Group, Loss

__all__ = ["AUXILIARY", "Objective", "predict"]

AUXILIARY = "auxiliary/"
"""How the names of a model's own losses begin, among its outputs and among the terms of the loss."""


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
    """

    def __init__(
        self,
        loss: Loss,
        coefficients: Sequence[Mapping[str, Tensor]],
        auxiliary: Mapping[str, float] | None = None,
    ) -> None:
        self.loss = loss
        self.auxiliary = dict(auxiliary or {})
        self._coefficients = [{task: value.double() for task, value in group.items()} for group in coefficients]

    def _coefficient(self, term: str, group: Group) -> Tensor:
        # A term is named by its task, or "<task>/<part>" where a task has several.
        return self._coefficients[group.index][term.partition("/")[0]]

    def weights(self, batches: Sequence[Batch]) -> dict[str, float]:
        """Total weight of each term over micro-batches, before any forward pass."""
        totals: dict[str, float] = {}
        for batch in batches:
            for group in batch.groups:
                for term, weight in self.loss.weights(group).items():
                    part = float((weight.double().cpu() * self._coefficient(term, group)).sum())
                    totals[term] = totals.get(term, 0.0) + part
                for name in self.auxiliary:
                    totals[AUXILIARY + name] = totals.get(AUXILIARY + name, 0.0) + float(_counted(group).sum())
        return totals

    def sums(self, outputs: Sequence[Mapping[str, Tensor]], batch: Batch) -> dict[tuple[str, str], Tensor]:
        """Weighed masked sums, scalars with gradient, by (group, term)."""
        sums: dict[tuple[str, str], Tensor] = {}
        for output, group in zip(outputs, batch.groups, strict=True):
            for term, value in self.loss(output, group).items():
                coefficient = self._coefficient(term, group).to(value.device, value.dtype)
                sums[group.name, term] = (value * coefficient).sum()
            for name, weight in self.auxiliary.items():
                value, counted = output[AUXILIARY + name], _counted(group)
                sums[group.name, AUXILIARY + name] = weight * torch.where(counted, value, torch.zeros_like(value)).sum()
        return sums

    @staticmethod
    def auxiliary_part(sums: Mapping[tuple[str, str], Tensor], weights: Mapping[str, float]) -> dict[str, float]:
        """Contribution of each of the model's own losses to `total`, by term."""
        parts: dict[str, float] = {}
        for (_, term), value in sums.items():
            if term.startswith(AUXILIARY) and weights[term] > 0:
                parts[term] = parts.get(term, 0.0) + float(value.detach()) / weights[term]
        return parts

    @staticmethod
    def total(sums: Mapping[tuple[str, str], Tensor], weights: Mapping[str, float]) -> Tensor | None:
        """Sum over terms of sum / weight; None where nothing in the step counts."""
        parts = [value / weights[term] for (_, term), value in sums.items() if weights[term] > 0]
        return torch.stack(parts).sum() if parts else None


def _counted(group: Group) -> Tensor:
    """Predictions in which a target counts, bool (B, L) or (B,)."""
    return group.mask if group.mask.ndim < 2 else group.mask.any(dim=-1)
