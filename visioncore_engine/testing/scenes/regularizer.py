"""What regularizers meet: named weights of two, three and four dimensions, in double precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import Regularizer, RegularizerFacts
from visioncore_engine.data import generator
from visioncore_engine.testing.case import Case

__all__ = ["RegularizerScene", "gradients", "scene", "weights"]

_SHAPES = {"core.0.weight": (4, 3, 3, 2), "core.1.weight": (5, 4, 3), "readouts.a.features": (3, 6)}


def weights(*key: int | str, dtype: torch.dtype = torch.float64) -> dict[str, nn.Parameter]:
    """Draw parameters, none of whose values is near 0, where many penalties have a kink."""
    found = {}
    for name, shape in _SHAPES.items():
        draws = generator("parameters", name, *key)
        values = draws.uniform(0.1, 1.0, shape) * draws.choice([-1.0, 1.0], shape)
        found[name] = nn.Parameter(torch.from_numpy(values).to(dtype))
    return found


@dataclass
class RegularizerScene:
    """Facts for a regularizer: its parameters."""

    facts: RegularizerFacts = field(default_factory=lambda: RegularizerFacts(weights()))

    def probe(self, built: Regularizer) -> Mapping[str, Any]:
        """The penalty, its gradient, and what a proximal step leaves."""
        parameters = dict(self.facts.parameters)
        value = built.penalty(parameters)
        found = {"penalty": value, "gradients": gradients(value, parameters)}
        with torch.no_grad():
            built.proximal(parameters, 0.3, dict.fromkeys(parameters, 0.5))
        return {**found, "after": parameters}


def gradients(penalty: Tensor | None, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gradient of a penalty by name; zeros where it does not depend on a parameter."""
    if penalty is None or not penalty.requires_grad:
        return {name: torch.zeros_like(value) for name, value in parameters.items()}
    found = torch.autograd.grad(penalty, list(parameters.values()), allow_unused=True)
    pairs = zip(parameters.items(), found, strict=True)
    return {name: torch.zeros_like(value) if grad is None else grad for (name, value), grad in pairs}


def scene(case: Case) -> RegularizerScene:
    """Make the scene."""
    return RegularizerScene()
