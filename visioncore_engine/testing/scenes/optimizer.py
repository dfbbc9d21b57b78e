"""What optimizers meet: three groups of parameters with rates and decays of their own, and a quadratic bowl."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from visioncore_engine.contracts import OptimizerFacts, ParameterGroup
from visioncore_engine.data import generator
from visioncore_engine.testing.case import Case

__all__ = ["OptimizerScene", "descend", "facts", "goal", "scene"]

_SHAPES = {"core.weight": (4, 3), "core.bias": (4,), "heads.a": (5, 2), "heads.b": (2,)}
_GROUPS = (  # name, members, rate, decay
    ("core", ("core.weight",), 0.02, 0.1),
    ("core no decay", ("core.bias",), 0.02, 0.0),
    ("rest", ("heads.a", "heads.b"), 0.01, 0.0),
)


def facts() -> OptimizerFacts:
    """Fresh parameters in their groups."""
    parameters = {
        name: nn.Parameter(torch.from_numpy(generator("start", name).normal(size=shape)))
        for name, shape in _SHAPES.items()
    }
    groups = tuple(
        ParameterGroup(name, {member: parameters[member] for member in members}, rate, decay)
        for name, members, rate, decay in _GROUPS
    )
    return OptimizerFacts(groups, fused=False)


@dataclass
class OptimizerScene:
    """Facts for an optimizer."""

    facts: OptimizerFacts = field(default_factory=facts)

    @property
    def parameters(self) -> Mapping[str, nn.Parameter]:
        """All parameters by name."""
        return {name: value for group in self.facts.groups for name, value in group.parameters.items()}

    def probe(self, built: torch.optim.Optimizer) -> Mapping[str, Any]:
        """The path of the parameters over some steps, and the state at its end."""
        path = descend(built, self.parameters, range(6))
        return {"path": path, "state": built.state_dict()}


def scene(case: Case) -> OptimizerScene:
    """Make the scene."""
    return OptimizerScene()


def goal(name: str) -> torch.Tensor:
    """Bottom of the bowl."""
    return torch.from_numpy(generator("goal", name).normal(size=_SHAPES[name]))


def descend(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    steps: Iterable[int],
    only: Iterable[str] | None = None,
) -> list[dict[str, torch.Tensor]]:
    """Take steps towards `goal`, with a slope that changes from step to step; returns the parameters after each."""
    path = []
    moved = set(parameters if only is None else only)
    for step in steps:
        for name, value in parameters.items():
            slope = (value.detach() - goal(name)) * (1.0 + 0.5 * (step % 3))
            value.grad = slope if name in moved else None
        optimizer.step()
        path.append({name: value.detach().clone() for name, value in parameters.items()})
    return path
