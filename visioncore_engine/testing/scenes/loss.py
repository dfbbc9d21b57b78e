"""What a loss meets: windows of two groups with masks, and outputs for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from visioncore_engine.contracts import Group, GroupSpec, Loss, LossFacts
from visioncore_engine.errors import UserError
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.scenes.flow import FAMILIES, draw_group, draw_outputs

__all__ = ["LossScene", "scene"]


@dataclass
class LossScene:
    """Windows of the groups that the facts name."""

    facts: LossFacts = field(default_factory=lambda: LossFacts(FAMILIES["counts"]()))
    num: int = 6

    @property
    def groups(self) -> tuple[GroupSpec, ...]:
        """Groups of the data."""
        return self.facts.groups

    def draw(self, index: int, *, seed: int = 0) -> tuple[dict[str, Tensor], Group]:
        """Draw outputs and windows of a group, float64."""
        group = draw_group(self.groups[index], index, self.num, seed=seed)
        return draw_outputs(self.groups[index], group, seed=seed), group

    @staticmethod
    def gradients(
        loss: Loss, outputs: Mapping[str, Tensor], group: Group
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Sums of the loss without gradient, and the gradient of their total for each output."""
        leaves = {task: value.clone().requires_grad_() for task, value in outputs.items()}
        sums = dict(loss(leaves, group))
        total = torch.stack([value.sum() for value in sums.values()]).sum()
        found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
        gradients = {
            task: torch.zeros_like(leaf) if gradient is None else gradient
            for (task, leaf), gradient in zip(leaves.items(), found, strict=True)
        }
        return {term: value.detach() for term, value in sums.items()}, gradients

    def probe(self, built: Any) -> dict[str, Any]:
        """Weights, sums and gradients of every group."""
        shown = {}
        for index, spec in enumerate(self.groups):
            outputs, group = self.draw(index)
            sums, gradients = self.gradients(built, outputs, group)
            shown[spec.name] = {"weights": dict(built.weights(group)), "sums": sums, "gradients": gradients}
        return shown


def scene(case: Case) -> LossScene:
    """Find the kind of targets that the loss takes, by trying; it says so by a `UserError`."""
    refusals = []
    for name, make in FAMILIES.items():
        found = LossScene(LossFacts(make()))
        try:
            case.build(found)
        except UserError as error:
            refusals.append(f"{name}: {error}")
            continue
        return found
    raise AssertionError(
        f"{case} takes none of the kit's targets; give the case a scene of its own\n" + "\n".join(refusals)
    )
