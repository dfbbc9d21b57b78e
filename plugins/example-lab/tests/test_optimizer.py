"""The optimizer `lion` follows its rule."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from example_lab.optimizer import Lion, lion
from example_lab.options import LionOptions
from visioncore_engine.contracts import OptimizerFacts, ParameterGroup


def build(*parameters: nn.Parameter, decay: float = 0.0) -> torch.optim.Optimizer:
    named = {str(number): parameter for number, parameter in enumerate(parameters)}
    group = ParameterGroup("rest", named, lr=0.1, weight_decay=decay)
    return lion(LionOptions(lr=0.1, betas=(0.9, 0.99)), OptimizerFacts((group,), fused=False))


def steps(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, gradients: np.ndarray) -> None:
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient)
        optimizer.step()


def test_steps_are_those_of_the_paper() -> None:
    gradients = np.random.default_rng(7).normal(size=(5, 4))
    parameter = nn.Parameter(torch.ones(4, dtype=torch.float64))
    steps(build(parameter, decay=0.2), parameter, gradients)
    weight, average = np.ones(4), np.zeros(4)
    for gradient in gradients:
        weight = weight - 0.1 * (np.sign(0.9 * average + 0.1 * gradient) + 0.2 * weight)
        average = 0.99 * average + 0.01 * gradient
    np.testing.assert_allclose(parameter.detach(), weight)


def test_a_parameter_without_gradient_keeps_still() -> None:
    moved, still = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = build(moved, still, decay=0.5)
    moved.grad = torch.ones(2)
    optimizer.step()
    assert torch.equal(still, torch.ones(2))
    assert still not in optimizer.state


def test_a_restored_state_goes_on_as_before() -> None:
    gradients = np.random.default_rng(7).normal(size=(6, 4)).astype(np.float32)
    parameter = nn.Parameter(torch.ones(4))
    optimizer = build(parameter)
    steps(optimizer, parameter, gradients[:3])
    other = nn.Parameter(parameter.detach().clone())
    resumed = build(other)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one, own in ((optimizer, parameter), (resumed, other)):
        steps(one, own, gradients[3:])
    assert torch.equal(parameter, other)


def test_a_closure_is_called_once_with_gradients() -> None:
    parameter = nn.Parameter(torch.ones(2))
    calls = []

    def closure() -> torch.Tensor:
        calls.append(torch.is_grad_enabled())
        return torch.tensor(3.0)

    assert Lion([{"params": [parameter]}], 0.1, (0.9, 0.99)).step(closure) == 3.0
    assert calls == [True]
