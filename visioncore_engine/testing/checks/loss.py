"""Laws of losses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from visioncore_engine.contracts import Group, Loss, LossFacts
from visioncore_engine.errors import UserError
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.observed import expect_same
from visioncore_engine.testing.scenes.flow import FAMILIES, POISONS, expand_mask, poison, take, unmask
from visioncore_engine.testing.scenes.loss import LossScene, refused_families

__all__ = [
    "columns_are_apart",
    "cut_of_the_batch_does_not_matter",
    "gradient_is_that_of_the_sum",
    "mask_may_be_shared_by_columns",
    "masked_values_reach_nothing",
    "nothing_valid_weighs_nothing",
    "numbers_that_are_not_finite_show",
    "single_precision_is_about_right",
    "targets_of_other_kinds_are_refused",
    "terms_are_as_declared",
    "windows_are_left_alone",
]

_CLOSE = {"rtol": 1e-9, "atol": 1e-10}


def _each(case: Case) -> Iterator[tuple[LossScene, Loss, dict[str, Tensor], Group]]:
    scene = case.scene_of()
    assert isinstance(scene, LossScene), f"the scene of {case} must be a {LossScene.__name__}"
    loss = case.build(scene)
    for index in range(len(scene.groups)):
        yield scene, loss, *scene.draw(index)


@check("loss")
def terms_are_as_declared(case: Case) -> None:
    """Weights and sums have the same terms, named by task, of shape (N,) or (1,); weights are float64 and >= 0."""
    for scene, loss, outputs, group in _each(case):
        weights, sums = dict(loss.weights(group)), dict(loss(outputs, group))
        assert sums, f"group {group.name!r} has no term"
        assert list(weights) == list(sums), f"weights has the terms {list(weights)}, the sums {list(sums)}"
        targets = scene.groups[group.index].targets
        for term, weight in weights.items():
            task = term.partition("/")[0]
            assert task in targets, f"term {term!r}: name it by a task, {', '.join(targets)}, or '<task>/<part>'"
            assert weight.dtype == torch.float64, f"weights of {term!r} are {weight.dtype}: they add up in float64"
            assert tuple(weight.shape) in ((targets[task].size,), (1,)), (
                f"weights of {term!r} have shape {tuple(weight.shape)}: one per column ({targets[task].size},), or (1,)"
            )
            assert tuple(sums[term].shape) == tuple(weight.shape), (
                f"the sum of {term!r} has shape {tuple(sums[term].shape)}, its weights {tuple(weight.shape)}"
            )
            assert bool((weight >= 0).all()), f"weights of {term!r} are negative"
            assert float(weight.sum()) > 0, f"weights of {term!r} are zero although values are valid"
            assert sums[term].dtype == torch.float64, f"the sum of {term!r} is {sums[term].dtype} for float64 outputs"


@check("loss")
def nothing_valid_weighs_nothing(case: Case) -> None:
    """Where no value is valid, weights, sums and gradients are zero, not NaN."""
    for scene, loss, outputs, group in _each(case):
        empty = unmask(group, value=False)
        weights = dict(loss.weights(empty))
        sums, gradients = scene.gradients(loss, outputs, empty)
        for what, found in (("weight", weights), ("sum", sums), ("gradient", gradients)):
            for term, value in found.items():
                assert bool((value == 0).all()), f"the {what} of {term!r} is {value.tolist()} where nothing is valid"


@check("loss")
def masked_values_reach_nothing(case: Case) -> None:
    """What stands under a false mask, NaN or any number, reaches neither weights nor sums nor gradients."""
    for scene, loss, outputs, group in _each(case):
        expected = dict(loss.weights(group)), *scene.gradients(loss, outputs, group)
        for value in POISONS:
            changed, poisoned = poison(outputs, group, value)
            found = dict(loss.weights(poisoned)), *scene.gradients(loss, changed, poisoned)
            law = (
                f"{value} under a false mask shows: take `torch.where(mask, value, 0)` before anything is computed; "
                "NaN times zero is NaN"
            )
            expect_same(expected, found, law)


@check("loss")
def numbers_that_are_not_finite_show(case: Case) -> None:
    """An output that counts and is not finite makes the sum not finite: the engine must see it."""
    for _, loss, outputs, group in _each(case):
        for value in (float("nan"), float("inf")):
            found = loss({task: torch.full_like(output, value) for task, output in outputs.items()}, group)
            hidden = [term for term, total in found.items() if bool(total.isfinite().all())]
            assert not hidden, f"{value} throughout gives the sum {found[hidden[0]].tolist()}: hide nothing that counts"


@check("loss")
def mask_may_be_shared_by_columns(case: Case) -> None:
    """A mask (B, L, 1) for all columns is the same as the mask (B, L, N) that repeats it."""
    for scene, loss, outputs, group in _each(case):
        narrow, wide = expand_mask(group)
        law = "a mask that all columns share gives another result than the same mask written for each column"
        one, two = ((dict(loss.weights(given)), *scene.gradients(loss, outputs, given)) for given in (narrow, wide))
        expect_same(one, two, law, **_CLOSE)


@check("loss")
def cut_of_the_batch_does_not_matter(case: Case) -> None:
    """Weights and sums of a batch are the sums of those of its parts, in any order."""
    for _, loss, outputs, group in _each(case):
        weights, sums = dict(loss.weights(group)), dict(loss(outputs, group))
        for parts in (((3, 1), (0, 5, 4, 2)), tuple((row,) for row in range(len(group.items)))):
            cut = [(take(group, rows), {task: value[list(rows)] for task, value in outputs.items()}) for rows in parts]
            for what, whole, pieces in (
                ("weights", weights, [dict(loss.weights(part)) for part, _ in cut]),
                ("sums", sums, [dict(loss(own, part)) for part, own in cut]),
            ):
                added = {term: torch.stack([piece[term] for piece in pieces]).sum(0) for term in whole}
                law = f"{what} of a batch are not the sum of those of its parts: return sums, never means"
                expect_same(whole, added, law, **_CLOSE)


@check("loss")
def gradient_is_that_of_the_sum(case: Case) -> None:
    """The gradient equals finite differences."""
    for scene, loss, outputs, group in _each(case):
        _, gradients = scene.gradients(loss, outputs, group)
        for task, value in outputs.items():
            flat = value.flatten()
            for place in range(0, flat.numel(), max(1, flat.numel() // 12)):
                step = 1e-6
                ends = []
                for sign in (1.0, -1.0):
                    moved = flat.clone()
                    moved[place] += sign * step
                    sums = loss({**outputs, task: moved.view_as(value)}, group)
                    ends.append(float(torch.stack([part.detach().sum() for part in sums.values()]).sum()))
                expected = (ends[0] - ends[1]) / (2 * step)
                found = float(gradients[task].flatten()[place])
                assert abs(found - expected) <= 1e-5 * max(1.0, abs(expected)), (
                    f"the gradient of {task!r} is {found:g}, finite differences give {expected:g}"
                )


@check("loss")
def single_precision_is_about_right(case: Case) -> None:
    """Outputs and windows in float32 give the same sums and gradients, to rounding."""
    for scene, loss, outputs, group in _each(case):
        exact = scene.gradients(loss, outputs, group)
        single = {task: value.float() for task, value in outputs.items()}
        rounded = scene.gradients(loss, single, group.to("cpu", torch.float32))
        widened = tuple({name: value.double() for name, value in part.items()} for part in rounded)
        expect_same(exact, widened, "in float32 the loss is another one", rtol=1e-3, atol=1e-3)


@check("loss")
def targets_of_other_kinds_are_refused(case: Case) -> None:
    """Targets that it does not take are the user's mistake in any group, not in the first alone."""
    scene = case.scene_of()
    assert isinstance(scene, LossScene), f"the scene of {case} must be a {LossScene.__name__}"
    if case.scene is not None:
        return  # whoever gives the scene knows what the loss takes
    for name in refused_families(case):
        stranger = replace(FAMILIES[name]()[1], name="stranger")
        try:
            case.build(LossScene(LossFacts((*scene.groups, stranger))))
        except UserError:
            continue
        raise AssertionError(f"targets of kind {name!r} are refused in the first group, and taken in the last")


@check("loss")
def columns_are_apart(case: Case) -> None:
    """A term with a value per column takes each from its own column."""
    for scene, loss, outputs, group in _each(case):
        before = dict(loss(outputs, group))
        for task, target in scene.groups[group.index].targets.items():
            for column in range(target.size):
                moved = {name: value.clone() for name, value in outputs.items()}
                moved[task][..., column] *= 1.5
                for term, value in loss(moved, group).items():
                    if term.partition("/")[0] != task or tuple(value.shape) != (target.size,) or target.size == 1:
                        continue
                    strange = [other for other in range(target.size) if other != column]
                    law = f"outputs of column {column} change the sum of another column of {term!r}"
                    expect_same(before[term][strange], value[strange], law)


@check("loss")
def windows_are_left_alone(case: Case) -> None:
    """Neither outputs nor windows are changed in place."""
    for scene, loss, outputs, group in _each(case):
        same_outputs, same_group = scene.draw(group.index)
        loss.weights(group)
        loss(outputs, group)
        expect_same((same_outputs, same_group), (outputs, group), "the loss writes into its input")
