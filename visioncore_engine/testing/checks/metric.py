"""Laws of metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from visioncore_engine.contracts import Metric, MetricFacts, Result
from visioncore_engine.errors import UserError
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.checks.result import expect_well_formed
from visioncore_engine.testing.observed import difference, expect_same
from visioncore_engine.testing.scenes.flow import FAMILIES, POISONS, expand_mask, poison, unmask
from visioncore_engine.testing.scenes.metric import MetricScene, States, refused_families

__all__ = [
    "columns_without_a_valid_value_are_not_scored",
    "compute_changes_nothing",
    "cut_of_the_data_does_not_matter",
    "degenerate_columns_are_stable",
    "every_column_counts",
    "groups_without_a_valid_value_count_for_nothing",
    "logged_names_are_declared",
    "mask_may_be_shared_by_columns",
    "masked_values_never_count",
    "nothing_valid_is_nan",
    "result_is_well_formed",
    "rounding_is_that_of_float64",
    "statistics_add_up",
    "statistics_start_at_zero",
    "targets_of_other_kinds_are_refused",
    "unused_tags_change_nothing",
    "windows_are_left_alone",
]

_CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def _scene(case: Case) -> tuple[MetricScene, Metric]:
    scene = case.scene_of()
    assert isinstance(scene, MetricScene), f"the scene of {case} must be a {MetricScene.__name__}"
    metric: Metric = case.build(scene)
    return scene, metric


def _names(case: Case) -> tuple[str, ...]:
    component = case.entry.component
    return component.logs or (component.name,)


@check("metric")
def statistics_start_at_zero(case: Case) -> None:
    """Statistics of nothing are zeros in float64."""
    scene, metric = _scene(case)
    for group, state in scene.empty(metric).items():
        assert state, f"group {group!r} has no statistics"
        for name, value in state.items():
            assert value.dtype == torch.float64, f"statistic {name!r} is {value.dtype}: sums are kept in float64"
            assert not value.any(), f"statistic {name!r} of nothing is not zero: it would be added once per process"


@check("metric")
def cut_of_the_data_does_not_matter(case: Case) -> None:
    """Scores are the same for any cut into batches, and in any order."""
    scene, metric = _scene(case)
    whole = scene.whole()
    expected = metric.compute(scene.states(metric, whole))
    order = list(np.random.default_rng(3).permutation(scene.num))
    cuts: dict[str, list[list[int]]] = {
        "one window at a time": [[row] for row in range(scene.num)],
        "in another order": [order],
        "two unequal parts": [list(range(5)), list(range(5, scene.num))],
    }
    for name, parts in cuts.items():
        batches = [scene.part(batch, rows) for rows in parts for batch in reversed(whole)]
        law = f"{name}, the scores are other ones: keep sums, and divide only in `compute`"
        expect_same(expected, metric.compute(scene.states(metric, batches)), law, **_CLOSE)


@check("metric")
def statistics_add_up(case: Case) -> None:
    """The statistics of two parts, added, are those of the whole: processes add theirs."""
    scene, metric = _scene(case)
    whole = scene.whole()
    expected = scene.states(metric, whole)
    halves = [range(7), range(7, scene.num)]
    parts = [scene.states(metric, [scene.part(batch, list(rows)) for batch in whole]) for rows in halves]
    added = {
        group: {name: parts[0][group][name] + parts[1][group][name] for name in state}
        for group, state in expected.items()
    }
    expect_same(expected, added, "statistics of two parts do not add up to those of the whole", **_CLOSE)
    law = "scores from added statistics are other ones: `compute` must use the statistics alone"
    expect_same(metric.compute(expected), metric.compute(added), law, **_CLOSE)
    fresh: Metric = case.build(scene)
    expect_same(metric.compute(expected), fresh.compute(expected), "scores depend on more than the statistics")


@check("metric")
def masked_values_never_count(case: Case) -> None:
    """What stands under a false mask, NaN or any number, changes nothing."""
    scene, metric = _scene(case)
    whole = scene.whole()
    expected = scene.states(metric, whole)
    for value in POISONS:
        states = scene.states(metric, [poison(outputs, group, value) for outputs, group in whole])
        expect_same(expected, states, f"{value} under a false mask changes the statistics")


@check("metric")
def mask_may_be_shared_by_columns(case: Case) -> None:
    """A mask (B, L, 1) for all columns is the same as the mask (B, L, N) that repeats it."""
    scene, metric = _scene(case)
    narrow, wide = (
        scene.states(metric, [(outputs, expand_mask(group)[which]) for outputs, group in scene.whole()])
        for which in (0, 1)
    )
    expect_same(narrow, wide, "a mask that all columns share counts otherwise than one per column", **_CLOSE)


@check("metric")
def nothing_valid_is_nan(case: Case) -> None:
    """Where nothing is valid the score is NaN, never a number that could be taken for one."""
    scene, metric = _scene(case)
    hidden = [(outputs, unmask(group, value=False)) for outputs, group in scene.whole()]
    for states in (scene.empty(metric), scene.states(metric, hidden)):
        result = metric.compute(states)
        first, *_ = _names(case)
        assert math.isnan(result.scalars[first]), f"{first} is {result.scalars[first]} where nothing is valid, not NaN"
        for name, value in result.scalars.items():
            assert math.isnan(value) or value == 0, f"{name} is {value} where nothing is valid"
        for group, values in result.columns.items():
            assert bool(np.isnan(values).all()), f"columns of {group!r} are {values} where nothing is valid, not NaN"


@check("metric")
def columns_without_a_valid_value_are_not_scored(case: Case) -> None:
    """A column without a valid value is NaN, and the others are as if it were not there."""
    scene, metric = _scene(case)
    whole = scene.whole()
    expected = metric.compute(scene.states(metric, whole))
    hidden = []
    for outputs, group in whole:
        mask = group.mask.clone()
        if mask.ndim == 3:
            mask[..., 0] = False
        hidden.append((outputs, replace(group, mask=mask)))
    found = metric.compute(scene.states(metric, hidden))
    for name, values in found.columns.items():
        if hidden[0][1].mask.ndim == 3:
            assert math.isnan(values[0]), f"column 0 of {name!r} has no valid value, but a score of {values[0]}"
            expect_same(
                expected.columns[name][1:], values[1:], "a masked column changes the score of another", **_CLOSE
            )


@check("metric")
def groups_without_a_valid_value_count_for_nothing(case: Case) -> None:
    """A group without a valid value leaves the scores over all groups as if it were not there."""
    scene, metric = _scene(case)
    batch, other = scene.whole()[:2]
    beside = metric.compute(scene.states(metric, [batch, (other[0], unmask(other[1], value=False))]))
    alone = MetricScene(MetricFacts(scene.groups[:1]), scene.num)
    expected = case.build(alone)
    found = expected.compute(alone.states(expected, [batch]))
    names = [name for name in _names(case) if name in found.scalars]
    law = "a group in which nothing is valid changes the score over all groups"
    expect_same({name: found.scalars[name] for name in names}, _some(beside, names), law, **_CLOSE)


def _some(result: Result, names: list[str]) -> dict[str, float]:
    return {name: result.scalars[name] for name in names}


@check("metric")
def logged_names_are_declared(case: Case) -> None:
    """`Component.logs` is true: every name is logged, and nothing else but the same for a group or a label."""
    scene, metric = _scene(case)
    scalars = metric.compute(scene.states(metric, scene.whole())).scalars
    declared = _names(case)
    lacking = [name for name in declared if name not in scalars]
    assert not lacking, f"declared in `logs` but not computed: {', '.join(lacking)}; a run could monitor it for nothing"
    suffixes = {group.name for group in scene.groups}
    suffixes |= {f"{grouping}/{label}" for group in scene.groups for grouping, label in group.labels.items()}
    allowed = {*declared, *(f"{name}/{suffix}" for name in declared for suffix in suffixes)}
    strange = [name for name in scalars if name not in allowed]
    assert not strange, f"computed but not declared in `logs`: {', '.join(strange)}"


@check("metric")
def result_is_well_formed(case: Case) -> None:
    """Scalars are floats; columns float64 of the group's size; rows of tables have the columns of their table."""
    scene, metric = _scene(case)
    result = metric.compute(scene.states(metric, scene.whole()))
    expect_well_formed(result)
    for group in scene.groups:
        values = result.columns.get(group.name)
        sizes = [target.size for target in group.targets.values()]
        if values is not None:
            assert values.dtype == np.float64, f"columns of {group.name!r} are {values.dtype}"
            assert values.shape in [(size,) for size in sizes], f"columns of {group.name!r} have shape {values.shape}"
            assert not np.isinf(values).any(), f"columns of {group.name!r} are infinite: what cannot be scored is NaN"


@check("metric")
def targets_of_other_kinds_are_refused(case: Case) -> None:
    """Targets that it does not take are the user's mistake in any group, not in the first alone."""
    scene, _ = _scene(case)
    if case.scene is not None:
        return  # whoever gives the scene knows what the metric takes
    for name in refused_families(case):
        stranger = replace(FAMILIES[name]()[1], name="stranger")
        try:
            case.build(MetricScene(MetricFacts((*scene.groups, stranger))))
        except UserError:
            continue
        raise AssertionError(f"targets of kind {name!r} are refused in the first group, and taken in the last")


@check("metric", one_setting="an option may rightly leave columns out")
def every_column_counts(case: Case) -> None:
    """Other outputs and targets in any column or class of any group change the score over all of them."""
    scene, metric = _scene(case)
    first, *_ = _names(case)
    whole = scene.whole()
    expected = metric.compute(scene.states(metric, whole))
    for index, (outputs, group) in enumerate(whole):
        for column in range(max(target.size for target in scene.groups[index].targets.values())):
            batches = [*whole]
            batches[index] = scene.changed(outputs, group, column)
            found = metric.compute(scene.states(metric, batches))
            assert difference(expected.scalars[first], found.scalars[first]) is not None, (
                f"what happens in column or class {column} of group {group.name!r} does not change {first!r}"
            )


@check("metric")
def unused_tags_change_nothing(case: Case) -> None:
    """A tag that could have more values than ever occur changes no score."""
    scene, metric = _scene(case)
    groups = (replace(spec, tags={name: bound + 3 for name, bound in spec.tags.items()}) for spec in scene.groups)
    other = replace(scene, facts=MetricFacts(tuple(groups)))
    wider: Metric = case.build(other)
    expected, found = (
        one.compute(where.states(one, scene.whole())) for one, where in ((metric, scene), (wider, other))
    )
    expect_same(expected, found, "values of a tag that never occur change the scores", **_CLOSE)


@check("metric")
def degenerate_columns_are_stable(case: Case) -> None:
    """Where values are constant or few, a score is NaN or the same in any order: never rounding over rounding."""
    scene, metric = _scene(case)
    order = [int(row) for row in np.random.default_rng(3).permutation(scene.num)]
    cuts = [[order], [[row] for row in order], [order[:5], order[5:]]]
    for what, whole in scene.degenerate().items():
        expected = metric.compute(scene.states(metric, whole))
        for parts in cuts:
            batches = [scene.part(batch, rows) for rows in parts for batch in whole]
            law = f"{what}, the score depends on the order of the data: say NaN where nothing varies"
            expect_same(expected, metric.compute(scene.states(metric, batches)), law, rtol=1e-6, atol=1e-6)
        for group, values in expected.columns.items():
            assert not np.isinf(values).any(), f"{what}, columns of {group!r} are infinite"


@check("metric")
def rounding_is_that_of_float64(case: Case) -> None:
    """Statistics are summed in float64 whatever the dtype of outputs and targets."""
    scene, metric = _scene(case)
    single = [(_as(outputs, torch.float32), group.to("cpu", torch.float32)) for outputs, group in scene.whole()]
    double = [(_as(outputs, torch.float64), group.to("cpu", torch.float64)) for outputs, group in single]
    law = "float32 outputs and the same numbers in float64 give other statistics: convert them before the first sum"
    expect_same(scene.states(metric, double), scene.states(metric, single), law, rtol=1e-12, atol=1e-12)


def _as(outputs: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    return {task: value.to(dtype) for task, value in outputs.items()}


@check("metric")
def compute_changes_nothing(case: Case) -> None:
    """Scores can be computed twice, and training goes on after that."""
    scene, metric = _scene(case)
    states = scene.states(metric, scene.whole())
    before = _copy(states)
    one, two = metric.compute(states), metric.compute(states)
    expect_same(before, states, "`compute` changes the statistics")
    expect_same(one, two, "computed twice, the scores differ")


def _copy(states: States) -> States:
    return {group: {name: value.clone() for name, value in state.items()} for group, state in states.items()}


@check("metric")
def windows_are_left_alone(case: Case) -> None:
    """Neither outputs nor windows are changed in place."""
    scene, metric = _scene(case)
    whole = scene.whole()
    scene.states(metric, whole)
    expect_same(scene.whole(), whole, "the metric writes into its input")
