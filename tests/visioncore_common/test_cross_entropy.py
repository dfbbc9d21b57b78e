from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visioncore_common.cross_entropy import CrossEntropy
from visioncore_common.options.loss import CrossEntropyOptions
from visioncore_engine.contracts import GroupSpec, LossFacts, TargetSpec
from visioncore_engine.errors import ConfigError

LABELS = [0, 2, 1, 0, 0, 2, 1, 0]


def outputs_of(num, num_classes=3, seed=0):
    return torch.randn(num, num_classes, generator=torch.Generator().manual_seed(seed)).double().requires_grad_()


def mean_of(loss, outputs, group):
    return (loss({"class": outputs}, group)["class"] / loss.weights(group)["class"]).squeeze()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_it_is_torchs_cross_entropy(smoothing, group_spec, labelled):
    spec = group_spec()
    loss = CrossEntropy(CrossEntropyOptions(label_smoothing=smoothing), LossFacts((spec,)))
    outputs, group = outputs_of(8), labelled(LABELS, spec)
    expected = F.cross_entropy(outputs, torch.tensor(LABELS), label_smoothing=smoothing)
    assert torch.allclose(mean_of(loss, outputs, group), expected)
    assert loss.weights(group)["class"].tolist() == [8.0]
    assert loss({"class": outputs}, group)["class"].shape == (1,)


def test_inverse_frequency_is_torchs_weighted_mean(group_spec, labelled):
    spec = group_spec(mean=(0.5, 0.25, 0.25))
    loss = CrossEntropy(CrossEntropyOptions(class_weights="inverse_frequency"), LossFacts((spec,)))
    weight = torch.tensor([2 / 3, 4 / 3, 4 / 3], dtype=torch.float64)
    outputs, group = outputs_of(8), labelled(LABELS, spec)
    expected = F.cross_entropy(outputs, torch.tensor(LABELS), weight=weight)
    assert torch.allclose(mean_of(loss, outputs, group), expected)
    assert loss.weights(group)["class"].item() == pytest.approx(8.0), "the mean weight of the training set is 1"


def test_a_class_without_training_examples_weighs_nothing(group_spec, labelled):
    spec = group_spec(mean=(0.5, 0.5, 0.0))
    loss = CrossEntropy(CrossEntropyOptions(class_weights="inverse_frequency"), LossFacts((spec,)))
    weights = [loss.weights(labelled([label], spec))["class"].item() for label in (0, 1, 2)]
    assert weights == pytest.approx([1.0, 1.0, 0.0])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e9])
@pytest.mark.parametrize("class_weights", ["none", "inverse_frequency"])
def test_l1_values_under_a_false_mask_reach_nothing(value, class_weights, group_spec, labelled):
    spec = group_spec()
    options = CrossEntropyOptions(label_smoothing=0.1, class_weights=class_weights)
    loss = CrossEntropy(options, LossFacts((spec,)))
    clean = outputs_of(8)
    dirty = clean.detach().clone()
    dirty[[1, 5]] = value
    dirty.requires_grad_()
    labels = [-1 if number in (1, 5) else label for number, label in enumerate(LABELS)]
    results = []
    for outputs in (clean, dirty):
        total = loss({"class": outputs}, labelled(labels, spec))["class"]
        (gradient,) = torch.autograd.grad(total.sum(), outputs)
        results.append((total, gradient))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert torch.all(results[1][1][[1, 5]] == 0)
    kept = [number for number in range(8) if number not in (1, 5)]
    alone = loss({"class": clean[kept]}, labelled([LABELS[number] for number in kept], spec))["class"]
    assert torch.allclose(results[0][0], alone)


@given(cut=st.integers(0, 8), smoothing=st.floats(0, 0.9))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_l3_sums_and_weights_add_up_over_any_cut(cut, smoothing, group_spec, labelled):
    spec = group_spec(mean=(0.2, 0.3, 0.5))
    options = CrossEntropyOptions(label_smoothing=smoothing, class_weights="inverse_frequency")
    loss = CrossEntropy(options, LossFacts((spec,)))
    outputs = outputs_of(8)
    parts = [(outputs[:cut], labelled(LABELS[:cut], spec)), (outputs[cut:], labelled(LABELS[cut:], spec))]
    whole = labelled(LABELS, spec)
    assert torch.allclose(
        sum(loss({"class": part}, group)["class"] for part, group in parts), loss({"class": outputs}, whole)["class"]
    )
    assert torch.allclose(sum(loss.weights(group)["class"] for _, group in parts), loss.weights(whole)["class"])


def test_gradients_are_those_of_finite_differences(group_spec, labelled):
    spec = group_spec()
    loss = CrossEntropy(CrossEntropyOptions(label_smoothing=0.2), LossFacts((spec,)))
    group = labelled([0, -1, 2, 1], spec)
    assert torch.autograd.gradcheck(lambda outputs: loss({"class": outputs}, group)["class"], outputs_of(4))


def test_outputs_of_low_precision_and_of_any_size_stay_finite(group_spec, labelled):
    spec = group_spec()
    loss = CrossEntropy(CrossEntropyOptions(), LossFacts((spec,)))
    outputs = torch.tensor([[1e4, -1e4, 0.0]], dtype=torch.bfloat16, requires_grad=True)
    total = loss({"class": outputs}, labelled([1], spec))["class"]
    total.sum().backward()
    assert total.dtype == torch.float32
    assert torch.isfinite(total).all()
    assert torch.isfinite(outputs.grad).all()


def test_targets_of_another_kind_are_refused():
    spec = GroupSpec("m1", {}, (1, 8, 8), {"responses": TargetSpec("counts", 5)})
    with pytest.raises(ConfigError, match=r"'classes'.*'responses': 'counts'.*'m1'"):
        CrossEntropy(CrossEntropyOptions(), LossFacts((spec,)))
