"""The regularizer `orthogonal` costs what its formula says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from example_lab.options import OrthogonalOptions
from example_lab.regularizer import Orthogonal
from visioncore_engine.contracts import RegularizerFacts
from visioncore_engine.errors import ConfigError

MATCH = {"strength": 1.0, "match": ("*",)}


def build(parameters: dict[str, nn.Parameter], **options: bool) -> Orthogonal:
    return Orthogonal(OrthogonalOptions(**MATCH, **options), RegularizerFacts(parameters))


@pytest.mark.parametrize("normalize", [True, False])
def test_penalty_is_the_squared_deviation_from_the_identity(normalize: bool) -> None:
    torch.manual_seed(7)
    weights = {name: nn.Parameter(torch.randn(3, 2, 2, dtype=torch.float64)) for name in ("a", "b")}
    expected = 0.0
    for weight in weights.values():
        rows = weight.detach().numpy().reshape(3, 4)
        if normalize:
            rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        expected += np.square(rows @ rows.T - np.eye(3)).sum()
    penalty = build(weights, normalize=normalize).penalty(weights)
    assert penalty is not None
    assert penalty.item() == pytest.approx(expected)


def test_orthogonal_filters_cost_nothing_and_a_dead_one_breaks_nothing() -> None:
    good = nn.Parameter(torch.eye(3, 5) * 2)
    assert build({"w": good}).penalty({"w": good}).item() == pytest.approx(0, abs=1e-10)
    dead = nn.Parameter(torch.zeros(2, 5))
    build({"w": dead}).penalty({"w": dead}).backward()
    assert torch.isfinite(dead.grad).all()


def test_a_parameter_without_filters_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"match: .*core\.bias.*match weights only"):
        build({"core.bias": nn.Parameter(torch.zeros(4)), "core.weight": nn.Parameter(torch.zeros(4, 4))})
