"""Masked cross-entropy. B examples, K classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from visioncore_common.options.loss import CrossEntropyOptions
from visioncore_engine.contracts import Group, GroupSpec, LossFacts, TargetSpec
from visioncore_engine.errors import ConfigError, Problem

__all__ = ["CrossEntropy", "class_tasks"]


def class_tasks(group: GroupSpec) -> dict[str, TargetSpec]:
    """Tasks of a group whose targets are classes."""
    return {task: target for task, target in group.targets.items() if target.kind == "classes"}


class CrossEntropy:
    """Sum over examples with a label of w_y · (-(1 - s) log p_y - s · mean over classes of log p).

    s is the label smoothing (Szegedy et al. 2016); w_y is 1, or 1 / (K' f_y) with f_y the frequency of class y among
    the group's labelled training examples and K' the number of classes that occur there: the mean of w over those
    examples is 1. The weight of an example is w_y too.

    Raises
    ------
    ConfigError
        Where a group has a target of another kind.
    """

    def __init__(self, options: CrossEntropyOptions, facts: LossFacts) -> None:
        self._smoothing = options.label_smoothing
        _refuse_other_kinds(facts.groups)
        balance = options.class_weights == "inverse_frequency"
        self._class_weights = {
            (group.name, task): _inverse_frequency(target) if balance else torch.ones(target.size, dtype=torch.float64)
            for group in facts.groups
            for task, target in group.targets.items()
        }

    def weights(self, group: Group) -> dict[str, Tensor]:
        """Sum of the examples' weights, float64 (1,), by task."""
        return {task: self._example_weights(task, group).sum(dim=0, keepdim=True) for task in group.targets}

    def __call__(self, outputs: Mapping[str, Tensor], group: Group) -> dict[str, Tensor]:
        """Masked sum, (1,), by task; at least float32 whatever the precision of the outputs."""
        return {task: self._sum(outputs[task], task, group) for task in group.targets}

    def _sum(self, output: Tensor, task: str, group: Group) -> Tensor:
        output = output.to(torch.promote_types(output.dtype, torch.float32))
        # Replaced before the softmax: a NaN that is only multiplied by 0 would reach the gradient.
        output = torch.where(group.mask[:, None], output, torch.zeros_like(output))
        log_p = output.log_softmax(dim=1)
        chosen = log_p.gather(1, self._labels(task, group)[:, None])[:, 0]
        losses = -(1 - self._smoothing) * chosen - self._smoothing * log_p.mean(dim=1)
        return (losses * self._example_weights(task, group).to(losses.dtype)).sum(dim=0, keepdim=True)

    def _labels(self, task: str, group: Group) -> Tensor:
        labels = group.targets[task]
        return torch.where(group.mask, labels, torch.zeros_like(labels))

    def _example_weights(self, task: str, group: Group) -> Tensor:
        weights = self._class_weights[group.name, task].to(group.mask.device)[self._labels(task, group)]
        return torch.where(group.mask, weights, torch.zeros_like(weights))


def _inverse_frequency(target: TargetSpec) -> Tensor:
    frequency = torch.tensor(target.mean, dtype=torch.float64)
    present = frequency > 0
    # A class without a training example has weight 0: nothing is known that could weigh it.
    return torch.where(present, 1 / (present.sum() * frequency.clamp(min=1e-300)), torch.zeros_like(frequency))


def _refuse_other_kinds(groups: Sequence[GroupSpec]) -> None:
    for group in groups:
        other = {task: target.kind for task, target in group.targets.items() if target.kind != "classes"}
        if other or not group.targets:
            raise ConfigError(
                Problem(
                    what="cross_entropy takes targets of kind 'classes'",
                    key="loss",
                    given=f"{other} in group {group.name!r}",
                    todo="choose a loss for these data",
                )
            )
