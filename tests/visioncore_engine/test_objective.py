from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_options import ToyDataOptions
from toy_parts import ToyData, ToySquared

from visioncore_engine.contracts import Batch, DatasetFacts
from visioncore_engine.data.index import build_index
from visioncore_engine.errors import ConfigError
from visioncore_engine.objective import Objective
from visioncore_engine.parameters import loss_coefficients


def toy_index(**options):
    data = ToyData(ToyDataOptions(**options), DatasetFacts(seed=3))
    return build_index(data.sources("train", 0))


def total_influence(index, coefficients):
    """Share of the whole training loss that each group holds: sum over columns of coefficient times weight."""
    shares = [
        float((coefficient["y"].numpy() * weights["y"]).sum())
        for coefficient, weights in zip(coefficients, index.column_weights, strict=True)
    ]
    return np.array(shares) / sum(shares)


def test_weighting_by_samples_gives_every_valid_value_the_same_say():
    index = toy_index()
    valid = np.array([weights["y"].sum() for weights in index.column_weights])
    influence = total_influence(index, loss_coefficients("samples", index))
    np.testing.assert_allclose(influence, valid / valid.sum(), rtol=1e-12)


def test_a17_weighting_by_a_label_is_declared_not_an_accident_of_the_batch():
    index = toy_index(num_groups=3)
    np.testing.assert_allclose(total_influence(index, loss_coefficients("places", index)), [1 / 3] * 3, rtol=1e-12)
    # groups 0 and 2 belong to one owner, group 1 to another: each owner has half
    influence = total_influence(index, loss_coefficients("owners", index))
    np.testing.assert_allclose([influence[0] + influence[2], influence[1]], [0.5, 0.5], rtol=1e-12)


def test_weighting_by_columns_gives_every_column_the_same_say():
    index = toy_index(num_groups=2)
    coefficients = loss_coefficients("cells", index)
    per_column = np.concatenate(
        [
            coefficient["y"].numpy() * weights["y"]
            for coefficient, weights in zip(coefficients, index.column_weights, strict=True)
        ]
    )
    np.testing.assert_allclose(per_column, per_column[0], rtol=1e-12)


def test_an_unknown_weighting_names_what_the_data_have():
    with pytest.raises(ConfigError, match=r"samples, cells, owners, places.*did you mean 'owners'"):
        loss_coefficients("owner", toy_index())


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 60), max_size=5), weighting=st.sampled_from(["samples", "places", "cells"]))
def test_l3_the_cut_into_micro_batches_changes_neither_loss_nor_gradient(cuts, weighting):
    index = toy_index()
    items = np.random.default_rng(0).integers(index.num_items, size=60)
    objective = Objective(ToySquared(None, None), loss_coefficients(weighting, index))

    def loss_and_gradient(parts):
        from visioncore_engine.data.index import gather

        batches = [gather(index, part) for part in parts]
        slope = torch.ones(1, dtype=torch.float64, requires_grad=True)
        weights = objective.weights(batches)
        total = torch.zeros((), dtype=torch.float64)
        for batch in batches:
            if not batch.groups:
                continue
            outputs = [
                {"y": slope * group.inputs.double().sum(1, keepdim=True).expand_as(group.targets["y"])}
                for group in batch.groups
            ]
            loss = objective.total(objective.sums(outputs, batch), weights)
            if loss is not None:
                loss.backward()
                total += loss.detach()
        return total.item(), slope.grad.item()

    whole = loss_and_gradient([items])
    cut = loss_and_gradient(np.split(items, sorted(cuts)))
    np.testing.assert_allclose(cut, whole, rtol=1e-10)


@pytest.mark.parametrize("poison", ["nan", "1e9", "inf"])
def test_l1_values_under_the_mask_change_no_loss_and_no_gradient(poison):
    def run(value):
        index = toy_index(poison=value, masked=0.4)
        from visioncore_engine.data.index import gather

        batch = gather(index, np.arange(index.num_items))
        objective = Objective(ToySquared(None, None), loss_coefficients("cells", index))
        slope = torch.ones(1, requires_grad=True)
        outputs = [
            {"y": slope * group.inputs.sum(1, keepdim=True).expand_as(group.targets["y"])} for group in batch.groups
        ]
        loss = objective.total(objective.sums(outputs, batch), objective.weights([batch]))
        loss.backward()
        return loss.item(), slope.grad.item()

    assert run(poison) == run(None)


def test_a_step_without_a_valid_value_has_no_loss():
    index = toy_index(masked=1.0)
    objective = Objective(ToySquared(None, None), loss_coefficients("samples", index))
    batch = Batch([index.sources[0].gather(np.arange(4))])
    outputs = [{"y": torch.zeros(4, 4)}]
    assert objective.total(objective.sums(outputs, batch), objective.weights([batch])) is None


def own_loss(cuts, poison=None, weight=0.7):
    """Loss, its own part and the gradient of a step with a loss of the model's own, cut into micro-batches."""
    from visioncore_engine.data.index import gather

    index = toy_index(masked=0.8, poison=poison)
    items = np.random.default_rng(0).integers(index.num_items, size=60)
    batches = [gather(index, part) for part in np.split(items, sorted(cuts)) if len(part)]
    objective = Objective(ToySquared(None, None), loss_coefficients("cells", index), {"size": weight})
    weights = objective.weights(batches)
    slope = torch.ones(1, dtype=torch.float64, requires_grad=True)
    own: dict[str, float] = {}
    total = 0.0
    for batch in batches:
        outputs = []
        for group in batch.groups:
            own_values = (slope * group.inputs.double().sum(1)).square()
            if poison:
                own_values = torch.where(group.mask.any(-1), own_values, float(poison))
            outputs.append({"y": torch.zeros_like(group.targets["y"]).double(), "auxiliary/size": own_values})
        sums = objective.sums(outputs, batch)
        loss = objective.total(sums, weights)
        loss.backward()
        total += loss.item()
        for term, part in objective.auxiliary_part(sums, weights).items():
            own[term] = own.get(term, 0.0) + part
    return total, own["auxiliary/size"], slope.grad.item()


def test_a_loss_of_the_models_own_is_its_weight_times_the_mean_over_predictions_that_count():
    from visioncore_engine.data.index import gather

    index = toy_index(masked=0.8)
    groups = gather(index, np.random.default_rng(0).integers(index.num_items, size=60)).groups
    values = np.concatenate([group.inputs.double().sum(1).square()[group.mask.any(-1)].numpy() for group in groups])
    total, own, gradient = own_loss([])
    without, nothing, _ = own_loss([], weight=0.0)
    assert own == pytest.approx(0.7 * values.mean(), rel=1e-10)
    assert gradient == pytest.approx(2 * own, rel=1e-10)
    assert total == pytest.approx(without + own, rel=1e-10)
    assert nothing == 0.0


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 60), max_size=5))
def test_l3_the_cut_changes_no_loss_of_the_models_own(cuts):
    np.testing.assert_allclose(own_loss(cuts), own_loss([]), rtol=1e-10)


@pytest.mark.parametrize("poison", ["nan", "1e9"])
def test_l1_a_loss_of_the_models_own_counts_no_prediction_whose_targets_are_all_masked(poison):
    assert own_loss([], poison=poison) == own_loss([])
