from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visioncore_common.accuracy import Accuracy
from visioncore_common.options.metric import AccuracyOptions
from visioncore_engine.contracts import MetricFacts, TargetSpec
from visioncore_engine.errors import ConfigError

EXAMPLES = st.lists(st.tuples(st.sampled_from(["m1", "m2"]), st.integers(-1, 2), st.integers(0, 2)), max_size=40)


def one_hot(predictions):
    return torch.eye(3)[torch.tensor(predictions, dtype=torch.int64)]


def score(specs, labelled, batches):
    metric = Accuracy(AccuracyOptions(), MetricFacts(tuple(specs.values())))
    states = {name: metric.state(spec) for name, spec in specs.items()}
    for name, labels, predictions in batches:
        metric.update(states[name], {"class": one_hot(predictions)}, labelled(labels, specs[name]))
    return metric.compute(states)


def reference(pairs):
    pairs = np.array(pairs).reshape(-1, 2)
    pairs = pairs[pairs[:, 0] >= 0]
    right = pairs[:, 0] == pairs[:, 1]
    recalls = [right[pairs[:, 0] == label].mean() for label in np.unique(pairs[:, 0])]
    return (right.mean() if len(pairs) else math.nan), (np.mean(recalls) if recalls else math.nan)


@given(examples=EXAMPLES, sizes=st.lists(st.integers(1, 7), min_size=1, max_size=40))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_l3_scores_are_those_of_all_examples_together_whatever_the_cut(examples, sizes, group_spec, labelled):
    specs = {name: group_spec(name) for name in ("m1", "m2")}
    batches = []
    for name in specs:
        own = [(label, guess) for group, label, guess in examples if group == name]
        for size in sizes:
            batches.append((name, [label for label, _ in own[:size]], [guess for _, guess in own[:size]]))
            own = own[size:]
        batches.append((name, [label for label, _ in own], [guess for _, guess in own]))
    scalars = score(specs, labelled, batches).scalars
    for suffix, names in (("", ("m1", "m2")), ("/m1", ("m1",)), ("/m2", ("m2",))):
        expected = reference([pair[1:] for pair in examples if pair[0] in names])
        found = scalars[f"accuracy{suffix}"], scalars[f"balanced_accuracy{suffix}"]
        assert found == pytest.approx(expected, nan_ok=True)


def test_peers_6_the_last_batch_does_not_win(group_spec, labelled):
    specs = {"m1": group_spec("m1")}
    batches = [("m1", [0, 1], [0, 1]), ("m1", [0, 1], [1, 0])]
    assert score(specs, labelled, batches).scalars["accuracy"] == 0.5
    assert score(specs, labelled, batches[::-1]).scalars["accuracy"] == 0.5


def test_balanced_accuracy_sees_a_model_that_only_knows_the_common_class(group_spec, labelled):
    scalars = score({"m1": group_spec("m1")}, labelled, [("m1", [0] * 9 + [1], [0] * 10)]).scalars
    assert (scalars["accuracy"], scalars["balanced_accuracy"]) == (0.9, 0.5)


@pytest.mark.parametrize("value", [float("nan"), 1e9])
def test_l1_values_under_a_false_mask_change_no_score(value, group_spec, labelled):
    spec = group_spec("m1")
    metric = Accuracy(AccuracyOptions(), MetricFacts((spec,)))
    state = metric.state(spec)
    outputs = one_hot([0, 1, 2])
    outputs[1] = value
    metric.update(state, {"class": outputs}, labelled([0, -1, 2], spec))
    assert (state["count"].tolist(), state["right"].tolist()) == ([1, 0, 1], [1, 0, 1])
    assert state["count"].dtype == torch.float64


def test_an_output_that_is_nan_is_wrong(group_spec, labelled):
    spec = group_spec("m1")
    metric = Accuracy(AccuracyOptions(), MetricFacts((spec,)))
    state = metric.state(spec)
    metric.update(state, {"class": torch.full((3, 3), float("nan"))}, labelled([0, 1, 2], spec))
    assert state["right"].sum() == 0


def test_the_table_has_a_row_per_group_and_class(group_spec, labelled):
    table = score({"m1": group_spec("m1")}, labelled, [("m1", [0, 0, 1], [0, 2, 1])]).tables["classes"]
    assert table.columns == ("group", "class", "num_examples", "accuracy")
    assert [tuple(row.values()) for row in table.rows[:2]] == [("m1", "class 0", 2, 0.5), ("m1", "class 1", 1, 1.0)]
    assert math.isnan(table.rows[2]["accuracy"])


def test_classes_of_different_groups_are_pooled_by_name(group_spec, labelled):
    specs = {"m1": group_spec("m1"), "m2": group_spec("m2")}
    target = dataclasses.replace(specs["m2"].targets["class"], ids=("class 2", "class 1", "class 0"))
    specs["m2"] = dataclasses.replace(specs["m2"], targets={"class": target})
    scalars = score(specs, labelled, [("m1", [0, 0], [0, 0]), ("m2", [2, 1], [0, 1])]).scalars
    assert scalars["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)


def test_one_task_is_chosen_where_there_are_several(group_spec):
    spec = group_spec("m1")
    both = dataclasses.replace(
        spec, targets={**spec.targets, "other": spec.targets["class"], "x": TargetSpec("counts", 2)}
    )
    with pytest.raises(ConfigError, match=r"metrics\.accuracy\.task.*: class, other; name one of them"):
        Accuracy(AccuracyOptions(), MetricFacts((both,)))
    with pytest.raises(ConfigError, match=r"class, other \(got 'x'\)"):
        Accuracy(AccuracyOptions(task="x"), MetricFacts((both,)))
    assert Accuracy(AccuracyOptions(task="other"), MetricFacts((both,)))
    with pytest.raises(ConfigError, match="none; choose a metric"):
        Accuracy(AccuracyOptions(), MetricFacts((dataclasses.replace(spec, targets={"x": TargetSpec("counts", 2)}),)))
