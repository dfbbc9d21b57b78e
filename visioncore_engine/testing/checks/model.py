"""Laws of models."""

from __future__ import annotations

from dataclasses import replace

import torch

from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.checks import modules
from visioncore_engine.testing.checks.modules import scene_of
from visioncore_engine.testing.observed import expect_same
from visioncore_engine.testing.scenes.flow import LENGTH, poison, unmask
from visioncore_engine.testing.scenes.model import ModelScene
from visioncore_engine.testing.scenes.module import changed_frame, doubled, stirred

__all__ = [
    "groups_do_not_see_each_other",
    "groups_start_alike",
    "heads_belong_to_names",
    "modules",
    "only_inputs_are_seen",
    "predictions_are_causal",
    "predictions_fill_the_window",
]

_CLOSE = {"rtol": 1e-9, "atol": 1e-10}


def _scene(case: Case) -> ModelScene:
    scene = scene_of(case)
    assert isinstance(scene, ModelScene), f"the scene of {case} must be a {ModelScene.__name__}"
    return scene


@check("model")
def groups_do_not_see_each_other(case: Case) -> None:
    """A group's predictions are the same alone, beside other groups, and in any order of groups."""
    scene = _scene(case)
    module = stirred(case.build(scene)).eval()
    inputs = scene.draw(3, scene.frames(module))
    with torch.no_grad():
        both = scene.run(module, inputs)
        for order in ((1, 0), (0,), (1,)):
            found = replace(scene, order=order).run(module, inputs)
            expected = {name: both[name] for name in found if name in both}
            expect_same(expected, found, f"groups {order} of the batch predict otherwise than groups (0, 1)", **_CLOSE)


@check("model")
def heads_belong_to_names(case: Case) -> None:
    """Weights belong to groups by name: a model built for the groups in another order takes them, and is the same."""
    scene = _scene(case)
    module = stirred(case.build(scene)).eval()
    turned = ModelScene(replace(scene.facts, groups=tuple(reversed(scene.facts.groups))), order=(1, 0))
    other = doubled(case.build(turned)).eval()
    try:
        other.load_state_dict(module.state_dict(), strict=True)
    except RuntimeError as error:
        raise AssertionError(
            f"weights do not fit a model whose groups come in another order: name heads by group, not by position "
            f"({str(error).splitlines()[-1].strip()})"
        ) from error
    inputs = scene.draw(2, scene.frames(module))
    with torch.no_grad():
        one = scene.run(module, inputs)
        two = turned.run(other, inputs)
    expect_same(one, two, "with the groups in another order, weights belong to other groups", **_CLOSE)


@check("model")
def groups_start_alike(case: Case) -> None:
    """What a model does with the target means of one group, such as a start at them, it does in every group."""
    scene = _scene(case)
    inputs = scene.draw(2, scene.frames(case.build(scene)))
    moved = {}
    for index, spec in enumerate(scene.facts.groups):
        targets = {
            task: replace(target, mean=tuple(3.0 * mean + 0.1 for mean in target.mean))
            for task, target in spec.targets.items()
        }
        groups = [*scene.facts.groups]
        groups[index] = replace(spec, targets=targets)
        other = replace(scene, facts=replace(scene.facts, groups=tuple(groups)))
        with torch.no_grad():
            one = scene.run(doubled(case.build(scene)).eval(), inputs)
            two = other.run(doubled(case.build(other)).eval(), inputs)
        own = [name for name in one if name.startswith(f"{spec.name}:")]
        moved[spec.name] = any(not torch.equal(one[name], two[name]) for name in own)
    assert len(set(moved.values())) == 1, f"other means change what is predicted at the start in some groups: {moved}"


@check("model")
def only_inputs_are_seen(case: Case) -> None:
    """Targets, masks, tags and item numbers never reach a prediction."""
    scene = _scene(case)
    module = stirred(case.build(scene)).eval()
    inputs = scene.draw(3, scene.frames(module))
    batch, other = scene.batch(inputs), scene.batch(inputs, seed=5)
    other.groups = [poison({}, unmask(group, value=False), float("nan"))[1] for group in other.groups]
    with torch.no_grad():
        one, two = scene.outputs(module(batch)), scene.outputs(module(other))
    expect_same(one, two, "other targets or another mask change what is predicted: a model sees inputs only", **_CLOSE)


@check("model")
def predictions_fill_the_window(case: Case) -> None:
    """A window of `history` + L frames gives at least L predictions."""
    scene = _scene(case)
    built = case.build(scene)
    assert isinstance(built.history, int), f"`history` must be an int, not {built.history!r}"
    assert built.history >= 0, f"`history` is {built.history}"
    if not scene.timed:
        return
    outputs = scene.run(doubled(built).eval(), scene.draw(1, built.history + LENGTH))
    for name, value in outputs.items():
        assert value.shape[1] >= LENGTH, (
            f"{name}: {value.shape[1]} predictions from {built.history} + {LENGTH} frames: declare a longer `history`"
        )


@check("model")
def predictions_are_causal(case: Case) -> None:
    """A prediction sees its own frame and no later one, of inputs and of side inputs."""
    scene = _scene(case)
    module = stirred(case.build(scene)).eval()
    if not scene.timed:
        return
    frames = scene.frames(module, 3)
    inputs = scene.draw(2, frames)
    with torch.no_grad():
        one = scene.run(module, inputs)
        two = scene.run(module, changed_frame(scene, inputs, frames - 1))
    law = "the newest frame changes predictions for frames before it: frames come oldest first"
    expect_same(
        {name: value[:, :-1] for name, value in one.items()},
        {name: value[:, :-1] for name, value in two.items()},
        law,
        **_CLOSE,
    )
    for name, value in one.items():
        moved = float((value[:, -1] - two[name][:, -1]).abs().max())
        assert moved > 1e-9, f"{name}: the last prediction does not see the last frame; outputs end with the window"
