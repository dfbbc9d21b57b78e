"""Laws of optimizers: every group by its own rate and decay, untouched parameters kept still, an exact resume."""

from __future__ import annotations

import torch

from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.observed import difference
from visioncore_engine.testing.saved import expect_plain, saved_and_loaded
from visioncore_engine.testing.scenes.optimizer import OptimizerScene, descend, goal

__all__ = [
    "decay_is_that_of_each_group",
    "groups_are_those_of_the_engine",
    "it_goes_downhill",
    "optimizer_state_is_plain",
    "rate_is_that_of_each_group",
    "resume_takes_the_same_path",
    "untouched_parameters_keep_still",
    "without_a_rate_nothing_moves",
]


@check("optimizer")
def groups_are_those_of_the_engine(case: Case) -> None:
    """Its parameter groups hold each parameter once, with the names, rates and decays of the facts, in their order."""
    scene = _scene(case)
    built = case.build(scene)
    wanted = scene.facts.torch_groups()
    names = [group.get("name") for group in built.param_groups]
    assert names == [group["name"] for group in wanted], f"the groups are {names}: use facts.torch_groups()"
    for group, other in zip(built.param_groups, wanted, strict=True):
        assert [id(value) for value in group["params"]] == [id(value) for value in other["params"]], (
            f"group {group['name']!r} holds other parameters"
        )
        for key in ("lr", "weight_decay"):
            assert group.get(key) == other[key], (
                f"{key} of group {group['name']!r} is {group.get(key)}, not {other[key]}"
            )


@check("optimizer")
def it_goes_downhill(case: Case) -> None:
    """It comes closer to the bottom of a quadratic bowl, in every parameter."""
    scene = _scene(case)
    parameters = scene.parameters
    before = {name: (value.detach() - goal(name)).square().sum() for name, value in parameters.items()}
    built = case.build(scene)
    for group in built.param_groups:
        group["weight_decay"] = 0.0  # its own bottom lies elsewhere
    descend(built, parameters, range(20))
    for name, value in parameters.items():
        after = (value.detach() - goal(name)).square().sum()
        assert after < before[name], f"after 20 steps {name} is further from the minimum than before"


@check("optimizer")
def without_a_rate_nothing_moves(case: Case) -> None:
    """At a rate of 0, which schedulers may give, no parameter moves."""
    scene = _scene(case)
    parameters = scene.parameters
    built = case.build(scene)
    for group in built.param_groups:
        group["lr"] = 0.0
    start = {name: value.detach().clone() for name, value in parameters.items()}
    found = difference(start, descend(built, parameters, range(3))[-1])
    assert found is None, f"at a rate of 0 parameters move: {found}"


@check("optimizer")
def rate_is_that_of_each_group(case: Case) -> None:
    """A changed rate of one group, as the scheduler sets it, changes the steps of that group and of no other."""
    plain, changed = _scene(case), _scene(case)
    before = descend(case.build(plain), plain.parameters, range(4))[-1]
    built = case.build(changed)
    built.param_groups[0]["lr"] = 0.0
    start = {name: value.detach().clone() for name, value in changed.parameters.items()}
    after = descend(built, changed.parameters, range(4))[-1]
    still = set(changed.facts.groups[0].parameters)
    for name in changed.parameters:
        if name in still:
            assert torch.equal(after[name], start[name]), f"{name} moves, and its group has the rate 0"
        else:
            assert torch.equal(after[name], before[name]), f"the step of {name} depends on the rate of another group"


@check("optimizer")
def decay_is_that_of_each_group(case: Case) -> None:
    """Without any slope, parameters shrink where their group has a decay, and keep still where it has none."""
    scene = _scene(case)
    built = case.build(scene)
    start = {name: value.detach().clone() for name, value in scene.parameters.items()}
    for value in scene.parameters.values():
        value.grad = torch.zeros_like(value)
    built.step()
    for group in scene.facts.groups:
        for name, value in group.parameters.items():
            if group.weight_decay:
                assert value.abs().sum() < start[name].abs().sum(), f"{name} is not decayed"
            else:
                assert torch.equal(value, start[name]), f"{name} is decayed, and its group has no decay"


@check("optimizer")
def untouched_parameters_keep_still(case: Case) -> None:
    """A parameter without a gradient keeps still: no decay, no momentum, no count of steps."""
    scene = _scene(case)
    parameters = scene.parameters
    built = case.build(scene)
    descend(built, parameters, range(3))
    before = {name: value.detach().clone() for name, value in parameters.items()}
    after = descend(built, parameters, range(3), only=["heads.b"])[-1]
    for name, value in before.items():
        if name != "heads.b":
            assert torch.equal(after[name], value), f"{name} moves although this step leaves it without a gradient"


@check("optimizer")
def optimizer_state_is_plain(case: Case) -> None:
    """Its state holds tensors and plain values, before and after a step."""
    scene = _scene(case)
    built = case.build(scene)
    expect_plain(built.state_dict())
    descend(built, scene.parameters, range(2))
    expect_plain(built.state_dict())


@check("optimizer")
def resume_takes_the_same_path(case: Case) -> None:
    """Saved and loaded into a fresh optimizer, the following steps are the same to the bit."""
    scene = _scene(case)
    built = case.build(scene)
    descend(built, scene.parameters, range(3))
    state, weights = saved_and_loaded(built.state_dict()), {n: v.detach().clone() for n, v in scene.parameters.items()}
    unbroken = descend(built, scene.parameters, range(3, 7))
    other = _scene(case)
    with torch.no_grad():
        for name, value in other.parameters.items():
            value.copy_(weights[name])
    resumed = case.build(other)
    resumed.load_state_dict(state)
    found = difference(unbroken, descend(resumed, other.parameters, range(3, 7)))
    assert found is None, f"after a resume the steps are others: {found}"


def _scene(case: Case) -> OptimizerScene:
    scene = case.scene_of()
    assert isinstance(scene, OptimizerScene), "the scene of an optimizer is an OptimizerScene"
    return scene
