"""Laws of evaluators."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import nn

from visioncore_engine.contracts import Evaluator, Result
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.checks.result import expect_well_formed
from visioncore_engine.testing.observed import expect_same
from visioncore_engine.testing.scenes.evaluator import EvaluatorScene
from visioncore_engine.testing.scenes.flow import POISONS

__all__ = [
    "cut_of_the_data_does_not_matter",
    "evaluated_twice_it_is_the_same",
    "every_column_is_filled",
    "masked_values_never_count",
    "model_is_left_as_it_was",
    "nothing_is_kept_between_calls",
    "result_is_well_formed",
    "tables_leave_no_column_out",
    "tables_leave_no_group_out",
]

_CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def _scene(case: Case) -> tuple[EvaluatorScene, Evaluator]:
    scene = case.scene_of()
    assert isinstance(scene, EvaluatorScene), f"the scene of {case} must be a {EvaluatorScene.__name__}"
    evaluator: Evaluator = case.build(scene)
    return scene, evaluator


@check("evaluator")
def result_is_well_formed(case: Case) -> None:
    """It finds something; scalars are floats, rows have the columns of their table, figures are PNG pictures."""
    scene, evaluator = _scene(case)
    result = evaluator.evaluate(scene.evaluation())
    expect_well_formed(result)
    assert result.scalars or result.tables or result.figures, "it finds nothing"
    wrong = [name for name in result.scalars if name.startswith(f"{scene.split}/")]
    assert not wrong, f"{', '.join(wrong)}: the engine writes the split before each name"


@check("evaluator")
def tables_leave_no_group_out(case: Case) -> None:
    """A table with a row for a group has rows for all groups."""
    scene, evaluator = _scene(case)
    names = [group.name for group in scene.facts.groups]
    for title, table in scene.evaluate(evaluator).tables.items():
        named = [name for name in names if any(name in row.values() for row in table.rows)]
        lacking = [name for name in names if name not in named]
        assert not named or not lacking, (
            f"table {title!r} has rows for {', '.join(named)}, none for {', '.join(lacking)}"
        )


@check("evaluator")
def tables_leave_no_column_out(case: Case) -> None:
    """A table with a row for a column of a group's target has rows for all columns of that target."""
    scene, evaluator = _scene(case)
    for title, table in scene.evaluate(evaluator).tables.items():
        for group in scene.facts.groups:
            told = {str(value) for row in table.rows if group.name in row.values() for value in row.values()}
            for target in group.targets.values():
                named, lacking = ([one for one in target.ids if (one in told) is there] for there in (True, False))
                assert not named or not lacking, (
                    f"table {title!r} has rows for {', '.join(named)} of {group.name}, none for {', '.join(lacking)}"
                )


@check("evaluator")
def every_column_is_filled(case: Case) -> None:
    """No scalar is NaN, and no column of a table in every row, where the data have all that is needed."""
    scene, evaluator = _scene(case)
    result = scene.evaluate(evaluator)
    unscored = [name for name, value in result.scalars.items() if value != value]  # noqa: PLR0124 - NaN is unlike itself
    assert not unscored, (
        f"{', '.join(unscored)} is NaN; where data lack something, give the case a scene whose data have it"
    )
    for title, table in result.tables.items():
        for column in table.columns:
            values = [row[column] for row in table.rows]
            assert not values or any(value == value for value in values), (  # noqa: PLR0124 - NaN is unlike itself
                f"column {column!r} of table {title!r} is NaN in every row; where data lack something, give the case "
                "a scene whose data have it"
            )


@check("evaluator")
def evaluated_twice_it_is_the_same(case: Case) -> None:
    """Called again, on the same or another instance, it finds the same."""
    scene, evaluator = _scene(case)
    first = scene.evaluate(evaluator)
    expect_same(first, scene.evaluate(evaluator), "evaluated again, it finds something else")
    fresh: Evaluator = case.build(scene)
    expect_same(first, scene.evaluate(fresh), "another instance finds something else")


@check("evaluator")
def nothing_is_kept_between_calls(case: Case) -> None:
    """On other data it finds what a fresh instance finds there: a run evaluates several splits."""
    scene, evaluator = _scene(case)
    scene.evaluate(evaluator)
    other = replace(scene, split=scene.other_split)
    fresh: Evaluator = case.build(scene)
    expected, found = (other.evaluate(one) for one in (fresh, evaluator))
    expect_same(expected, found, f"after another split, it finds something else on {other.split!r}")


@check("evaluator")
def cut_of_the_data_does_not_matter(case: Case) -> None:
    """Batches of any size give the same."""
    scene, evaluator = _scene(case)
    expected = scene.evaluate(evaluator)
    for size in (1, 1000):
        found = scene.evaluate(evaluator, batch_size=size)
        law = f"in batches of {size} it finds something else: add up over batches, and divide at the end"
        expect_same(expected, found, law, **_CLOSE)


@check("evaluator")
def masked_values_never_count(case: Case) -> None:
    """What stands under a false mask, NaN or any number, changes nothing."""
    scene, evaluator = _scene(case)
    if not scene.maskable:
        return  # the scene's data cannot be changed under their masks
    expected = scene.evaluate(evaluator)
    for value in POISONS:
        found = scene.evaluate(evaluator, hidden=value)
        expect_same(expected, found, f"{value} under a false mask shows in what it finds")


@check("evaluator")
def model_is_left_as_it_was(case: Case) -> None:
    """Weights, gradients, modes, `requires_grad` and the given scores are as before."""
    scene, evaluator = _scene(case)
    evaluation = scene.evaluation()
    evaluation.scores = {"some": Result(scalars={"some": 1.0})}
    before, scores, modes = (
        copy.deepcopy(evaluation.model.state_dict()),
        copy.deepcopy(evaluation.scores),
        _modes(scene.model),
    )
    evaluator.evaluate(evaluation)
    expect_same(before, evaluation.model.state_dict(), "it changes the weights of the model")
    assert modes == _modes(scene.model), "it leaves parts of the model in another mode, or with other `requires_grad`"
    assert all(parameter.grad is None for parameter in scene.model.parameters()), (
        "it leaves gradients in the model: use torch.autograd.grad"
    )
    assert torch.is_grad_enabled(), "it switches gradients off for whoever comes next"
    expect_same(scores, evaluation.scores, "it changes the scores that it was given")


def _modes(model: nn.Module) -> list[bool]:
    modes = [part.training for part in model.modules()]
    return modes + [parameter.requires_grad for parameter in model.parameters()]
