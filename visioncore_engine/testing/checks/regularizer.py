"""Laws of regularizers: a differentiable scalar that moves nothing, and proximal steps that do not push apart."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from visioncore_engine.contracts import Regularizer
from visioncore_engine.data import generator
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.observed import difference
from visioncore_engine.testing.scenes.regularizer import gradients, weights

__all__ = [
    "closed_gradients_are_those_of_the_penalty",
    "gradient_equals_finite_differences",
    "gradient_of_zeros_is_finite",
    "it_regularizes",
    "only_given_parameters_count",
    "penalty_is_a_scalar_of_their_dtype",
    "penalty_moves_nothing",
    "penalty_twice_is_the_same",
    "proximal_moves_only_what_it_is_given",
    "proximal_steps_do_not_push_apart",
    "proximal_without_strength_or_rate_moves_nothing",
]


@check("regularizer")
def it_regularizes(case: Case) -> None:
    """It has a penalty with a gradient, or a proximal step that moves something."""
    built: Regularizer = case.build()
    parameters = weights()
    pulled = gradients(built.penalty(parameters), parameters)
    moved = _moved(built, parameters, 0.5, 0.5)
    assert any(gradient.any() for gradient in pulled.values()) or any(step.any() for step in moved.values()), (
        "neither a gradient nor a proximal step: it does nothing"
    )


@check("regularizer")
def penalty_is_a_scalar_of_their_dtype(case: Case) -> None:
    """A penalty is a finite scalar of the parameters' dtype, never negative; None where there is none."""
    built: Regularizer = case.build()
    for dtype in (torch.float32, torch.float64):
        penalty = built.penalty(weights(dtype=dtype))
        if penalty is not None:
            assert isinstance(penalty, Tensor), f"the penalty is a {type(penalty).__name__}, not a tensor"
            assert penalty.shape == (), f"the penalty has the shape {tuple(penalty.shape)}, not ()"
            assert penalty.dtype == dtype, f"the penalty of {dtype} parameters is {penalty.dtype}"
            assert torch.isfinite(penalty), f"the penalty is {penalty.item()}"
            assert penalty >= 0, f"the penalty is negative: {penalty.item()}"


@check("regularizer")
def gradient_equals_finite_differences(case: Case) -> None:
    """The gradient of the penalty is the slope of its value, along any direction."""
    built: Regularizer = case.build()
    parameters = weights()
    penalty = built.penalty(parameters)
    pulled = gradients(penalty, parameters)
    for number in range(4):
        draws = generator("direction", number)
        along = {name: torch.from_numpy(draws.normal(size=tuple(value.shape))) for name, value in parameters.items()}
        slope = sum(float((pulled[name] * along[name]).sum()) for name in parameters)
        width = 1e-5
        values = [
            _value(built, {name: parameters[name] + side * along[name] for name in parameters})
            for side in (width, -width)
        ]
        wanted = (values[0] - values[1]) / (2 * width)
        assert np.isclose(slope, wanted, rtol=1e-5, atol=1e-7), (
            f"the gradient says {slope:.8g} and the penalty itself {wanted:.8g}: something is detached or not smooth"
        )


@check("regularizer")
def closed_gradients_are_those_of_the_penalty(case: Case) -> None:
    """Where it adds its gradient itself, it adds strength times the gradient of its penalty, at 0 too."""
    built: Regularizer = case.build()
    closed: Callable[..., None] | None = getattr(built, "add_gradients", None)
    if closed is None:
        return  # then the engine takes the derivative
    zeros = {name: nn.Parameter(torch.zeros_like(value)) for name, value in weights().items()}
    for parameters in (weights(), zeros):
        wanted = gradients(built.penalty(parameters), parameters)
        for strength in (0.7, 0.0):
            before = {name: value.detach() for name, value in weights("before").items()}
            after = {name: value.clone() for name, value in before.items()}
            with torch.no_grad():
                closed(parameters, after, strength)
            for name, gradient in wanted.items():
                assert torch.allclose(after[name], before[name] + strength * gradient, rtol=1e-9, atol=1e-12), (
                    f"`add_gradients` adds something else to {name} than {strength} times the gradient of `penalty`"
                )


@check("regularizer")
def gradient_of_zeros_is_finite(case: Case) -> None:
    """At parameters of 0, where norms have no gradient, penalty and gradient are finite."""
    built: Regularizer = case.build()
    parameters = {name: nn.Parameter(torch.zeros_like(value)) for name, value in weights().items()}
    penalty = built.penalty(parameters)
    for name, gradient in gradients(penalty, parameters).items():
        assert torch.isfinite(gradient).all(), f"the gradient of {name} at 0 is not finite: training ends there"


@check("regularizer")
def penalty_moves_nothing(case: Case) -> None:
    """Asking for the penalty changes no parameter and writes no gradient."""
    built: Regularizer = case.build()
    parameters = weights()
    built.penalty(parameters)
    assert difference(parameters, weights()) is None, "`penalty` changes parameters: that is for `proximal`"
    assert all(value.grad is None for value in parameters.values()), "`penalty` writes gradients: return the value"


@check("regularizer")
def penalty_twice_is_the_same(case: Case) -> None:
    """The penalty depends on the parameters alone: not on how often it was asked for."""
    built: Regularizer = case.build()
    values = [_value(built, weights(number)) for number in (1, 2, 1, 1)]
    assert values[0] == values[2] == values[3], "the penalty of the same parameters changes from call to call"


@check("regularizer")
def only_given_parameters_count(case: Case) -> None:
    """A step that leaves parameters untouched leaves them out: the penalty is that of what it is given."""
    scene = case.scene_of()
    built: Regularizer = case.build(scene)
    for name, value in weights().items():
        given = {name: value}
        penalty = built.penalty(given)
        if penalty is None:
            continue
        before = penalty.item()
        with torch.no_grad():
            for other, parameter in scene.facts.parameters.items():
                if other != name:
                    parameter.add_(1.0)
        assert _value(built, given) == before, "the penalty depends on parameters that this step leaves out"


@check("regularizer")
def proximal_without_strength_or_rate_moves_nothing(case: Case) -> None:
    """A proximal step of strength 0, or at a rate of 0, leaves every parameter as it is."""
    built: Regularizer = case.build()
    for strength, rate in ((0.0, 0.5), (0.5, 0.0)):
        moved = [name for name, step in _moved(built, weights(), strength, rate).items() if step.any()]
        assert not moved, f"a step of strength {strength} at the rate {rate} moves {', '.join(moved)}"


@check("regularizer")
def proximal_steps_do_not_push_apart(case: Case) -> None:
    """Two sets of parameters are no further apart after a proximal step, and the step is finite."""
    built: Regularizer = case.build()
    for first, second in itertools.combinations(range(4), 2):
        one, other = weights(first), weights(second)
        before = _distance(one, other)
        for parameters in (one, other):
            with torch.no_grad():
                built.proximal(parameters, 0.4, dict.fromkeys(parameters, 0.5))
        after = _distance(one, other)
        assert np.isfinite(after), "a proximal step leaves values that are not finite"
        assert after <= before * (1 + 1e-12), f"a proximal step pushes parameters apart: {before:.6g} to {after:.6g}"


@check("regularizer")
def proximal_moves_only_what_it_is_given(case: Case) -> None:
    """A proximal step changes the parameters that it is given, each by its own rate, and no others."""
    scene = case.scene_of()
    built: Regularizer = case.build(scene)
    before = {name: value.detach().clone() for name, value in scene.facts.parameters.items()}
    whole = _moved(built, weights(), 0.4, 0.5)
    for name, value in weights().items():
        step = _moved(built, {name: value}, 0.4, 0.5)[name]
        assert torch.equal(step, whole[name]), f"the step of {name} depends on which others move"
    moved = [name for name, value in scene.facts.parameters.items() if not torch.equal(value, before[name])]
    assert not moved, f"it moves {', '.join(moved)}, which it was not given"
    rates = {name: 0.1 * (number + 1) for number, name in enumerate(weights())}
    mixed = _moved(built, weights(), 0.4, rates)
    for name, rate in rates.items():
        alone = _moved(built, {name: weights()[name]}, 0.4, rate)[name]
        assert torch.equal(mixed[name], alone), f"the step of {name} is not taken at its own rate"


def _value(built: Regularizer, parameters: Mapping[str, Tensor]) -> float:
    penalty = built.penalty(parameters)
    return 0.0 if penalty is None else penalty.item()


def _moved(
    built: Regularizer, parameters: Mapping[str, Tensor], strength: float, rates: float | Mapping[str, float]
) -> dict[str, Tensor]:
    """How far a proximal step moves each parameter."""
    before = {name: value.detach().clone() for name, value in parameters.items()}
    with torch.no_grad():
        built.proximal(parameters, strength, rates if isinstance(rates, Mapping) else dict.fromkeys(parameters, rates))
    return {name: value.detach() - before[name] for name, value in parameters.items()}


def _distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    return math.sqrt(sum((one[name] - other[name]).detach().square().sum().item() for name in one))
