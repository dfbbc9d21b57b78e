"""What a loss meets: windows of two groups with masks, and outputs for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from visioncore_engine.contracts import Group, GroupSpec, Loss, LossFacts
from visioncore_engine.errors import UserError
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.scenes.flow import FAMILIES, draw_group, draw_outputs

__all__ = ["LossScene", "other_scenes", "refused_families", "scene"]


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
        assert total.requires_grad, "the sum has no gradient: the outputs are taken out of the graph"
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
    refusals: dict[str, str] = {}
    for name in FAMILIES:
        if (refusal := _refusal(case, name)) is None:
            return _scene(name)
        refusals[name] = refusal
    raise AssertionError(
        f"{case} takes none of the kit's targets; give the case a scene of its own\n" + "\n".join(refusals.values())
    )


def other_scenes(case: Case) -> Iterator[tuple[str, Callable[[Case], LossScene]]]:
    """Every further kind of targets that the loss takes."""
    taken = [name for name in FAMILIES if _refusal(case, name) is None]
    for name in taken[1:]:
        yield f"targets of kind {name!r}", partial(_of_family, name)


def refused_families(case: Case) -> list[str]:
    """Kinds of targets that the loss does not take."""
    return [name for name in FAMILIES if _refusal(case, name) is not None]


def _scene(family: str) -> LossScene:
    return LossScene(LossFacts(FAMILIES[family]()))


def _of_family(family: str, _case: Case) -> LossScene:
    return _scene(family)


def _refusal(case: Case, family: str) -> str | None:
    try:
        case.build(_scene(family))
    except UserError as error:
        return f"{family}: {error}"
    return None
