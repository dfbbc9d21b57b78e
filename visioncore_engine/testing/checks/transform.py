"""Laws of transforms."""

from __future__ import annotations

import numpy as np
import torch

from visioncore_engine.contracts import Batch, Group, Transform
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.observed import difference, expect_same
from visioncore_engine.testing.scenes.flow import join, poison, take
from visioncore_engine.testing.scenes.transform import KEYS, TransformScene

__all__ = [
    "batch_is_left_alone",
    "cut_of_the_batch_does_not_matter",
    "draws_are_keyed_by_item",
    "groups_keep_their_shape",
    "it_says_when_it_applies",
    "key_decides_the_draws",
    "masked_values_stay_masked",
]


def _scene(case: Case) -> tuple[TransformScene, Transform]:
    scene = case.scene_of()
    assert isinstance(scene, TransformScene), f"the scene of {case} must be a {TransformScene.__name__}"
    transform: Transform = case.build(scene)
    return scene, transform


@check("transform")
def it_says_when_it_applies(case: Case) -> None:
    """`training_only` is True or False; what draws at random is for training only."""
    scene, transform = _scene(case)
    assert isinstance(transform.training_only, bool), f"training_only is {transform.training_only!r}, not True or False"
    if not transform.training_only:
        one, two = (transform(scene.draw(), key) for key in KEYS[:2])
        law = "it draws at random and also applies to validation: say `training_only = True`"
        expect_same(one, two, law)


@check("transform")
def groups_keep_their_shape(case: Case) -> None:
    """Names, numbers of windows, dtypes and the fit of mask, targets and tags stay as they are."""
    scene, transform = _scene(case)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        before, after = scene.draw(dtype=dtype), transform(scene.draw(dtype=dtype), KEYS[0])
        assert isinstance(after, Batch), f"it returns {type(after).__name__}, not a Batch"
        names = [group.name for group in before.groups]
        assert [group.name for group in after.groups] == names, "the groups of the batch are other ones"
        for one, two in zip(before.groups, after.groups, strict=True):
            assert two.index == one.index, f"group {one.name!r} has another index"
            expect_same(one.items, two.items, f"group {one.name!r}: `items` says which windows these are, and stays")
            assert two.inputs.dtype == dtype, (
                f"group {one.name!r}: inputs come as {dtype} and leave as {two.inputs.dtype}"
            )
            assert two.mask.dtype == torch.bool, f"group {one.name!r}: the mask becomes {two.mask.dtype}"
            assert list(one.targets) == list(two.targets), f"group {one.name!r}: other tasks"
            assert list(one.side) == list(two.side), f"group {one.name!r}: other side inputs"
            for what, given in (("inputs", two.inputs), *two.targets.items(), *two.side.items(), *two.tags.items()):
                assert len(given) == len(one.items), f"group {one.name!r}: {what} has {len(given)} rows"
            for task, target in two.targets.items():
                assert _fits(two.mask, target), f"group {one.name!r}: the mask does not fit {task}"
                assert target.dtype == one.targets[task].dtype, f"group {one.name!r}: {task} becomes {target.dtype}"


def _fits(mask: torch.Tensor, target: torch.Tensor) -> bool:
    sizes = zip(mask.shape, target.shape, strict=False)
    return mask.ndim == target.ndim and all(size in (1, wanted) for size, wanted in sizes)


@check("transform")
def batch_is_left_alone(case: Case) -> None:
    """It returns a new batch and writes into none of the tensors that it was given."""
    scene, transform = _scene(case)
    batch = scene.draw()
    transform(batch, KEYS[0])
    expect_same(scene.draw(), batch, "it changes the batch in place: the same windows may be read again from a cache")


@check("transform")
def key_decides_the_draws(case: Case) -> None:
    """One key gives the same draws at any time and from any instance; another key gives others."""
    scene, transform = _scene(case)
    first = transform(scene.draw(), KEYS[0])
    others = [transform(scene.draw(), key) for key in KEYS[1:]]
    expect_same(first, transform(scene.draw(), KEYS[0]), "called again with the same key, it draws otherwise")
    fresh: Transform = case.build(scene)
    expect_same(first, fresh(scene.draw(), KEYS[0]), "another instance draws otherwise with the same key")
    if _is_random(scene, transform):
        assert any(difference(first, other) for other in others), "every key gives the same draws: epochs never differ"


def _of_alike(scene: TransformScene, transform: Transform) -> list[Group]:
    return [transform(join(scene.alike(0)), key).groups[0] for key in KEYS]


def _is_random(scene: TransformScene, transform: Transform) -> bool:
    """Whether windows that show the same become different ones."""
    return any(
        difference(found.inputs[row], found.inputs[0]) is not None
        for found in _of_alike(scene, transform)
        for row in range(1, scene.num)
    )


@check("transform")
def draws_are_keyed_by_item(case: Case) -> None:
    """Draws of a window depend on its number alone: not on its place, nor on what stands beside it."""
    scene, transform = _scene(case)
    for index in range(len(scene.facts.groups)):
        group = scene.group(index)
        whole = transform(scene.draw(), KEYS[0]).groups[index]
        law = "a window is changed otherwise {}: draw by visioncore_engine.data.uniforms(items, …, key), a row per item"
        alone = transform(join(group), KEYS[0]).groups[0]
        expect_same(whole, alone, law.format("where no other group is in the batch"))
        order = np.random.default_rng(4).permutation(scene.num)
        turned = transform(join(take(group, order)), KEYS[0]).groups[0]
        expect_same(take(whole, order), turned, law.format("at another place of the batch"))
        found = _of_alike(scene, transform)
        changes = any(difference(scene.alike(0).inputs, one.inputs) for one in found)
        if transform.training_only and changes:
            assert _is_random(scene, transform), "all windows of a batch get the same draw: draw one for each item"


@check("transform")
def cut_of_the_batch_does_not_matter(case: Case) -> None:
    """A batch that is cut into parts becomes the same."""
    scene, transform = _scene(case)
    for index in range(len(scene.facts.groups)):
        group = scene.group(index)
        whole = transform(join(group), KEYS[1]).groups[0]
        for rows in ([0], [1, 2], list(range(3, scene.num))):
            part = transform(join(take(group, rows)), KEYS[1]).groups[0]
            expect_same(take(whole, rows), part, "cut into parts, the batch becomes another one")


@check("transform")
def masked_values_stay_masked(case: Case) -> None:
    """What stands under a false mask does not reach inputs, side inputs or valid targets."""
    scene, transform = _scene(case)
    for index in range(len(scene.facts.groups)):
        group = scene.group(index)
        _, other = poison({}, group, float("nan"))
        one, two = (transform(join(given), KEYS[0]).groups[0] for given in (group, other))
        expect_same(one.mask, two.mask, "the mask depends on masked targets")
        expect_same((one.inputs, one.side), (two.inputs, two.side), "masked targets reach the inputs")
        expect_same(_valid(one), _valid(two), "masked targets reach valid ones")


def _valid(group: Group) -> dict[str, torch.Tensor]:
    return {
        task: torch.where(group.mask.expand_as(value), value, torch.zeros_like(value))
        for task, value in group.targets.items()
    }
