"""The other frozen baselines give the engine's numbers, where both have a right answer."""

from __future__ import annotations

import ddp
import metric
import numpy as np
import penalties
import pytest
import torch
from old_penalty import PENALTIES, OldPenalty, old_soft_threshold
from old_sampler import OldBySession, OldWeighted

SIZES = penalties.Sizes(readouts=2, units=3, channels=4)


@pytest.mark.parametrize("method", metric.METHODS)
def test_both_metrics_are_right_to_float32(method):
    sizes = metric.Sizes(num=2048, units=4, batch=256)
    pool = metric.pool_of(sizes)
    scores = metric.METHODS[method](pool, sizes)
    tolerance = {"engine": 1e-7, "old": 1e-5}[method]
    np.testing.assert_allclose(scores, metric.exact(pool, sizes.batches), rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_have_the_engines_gradients(name):
    model = penalties.network(SIZES)
    features = penalties.features_of(model)
    assert len(features) == SIZES.readouts
    model.zero_grad(set_to_none=True)
    OldPenalty(name, list(features.values()), penalties.STRENGTH).loss().backward()
    old = {key: value.grad.clone() for key, value in features.items()}
    for parameter in features.values():
        parameter.grad.zero_()
    penalties.regularization(name, features).add_gradients(penalties.CLOCK)
    for key, value in features.items():
        torch.testing.assert_close(value.grad, old[key])


def test_a_penalty_is_logged_by_its_value():
    model = penalties.network(SIZES)
    penalty = OldPenalty("l1", list(penalties.features_of(model).values()), 2.0)
    loss = penalty.loss().item()
    assert penalty.logged == loss > 0


def test_the_soft_threshold_is_that_of_adams_own_rates_once_per_group():
    model = penalties.network(SIZES)
    (feature, *_) = features = list(penalties.features_of(model).values())
    groups = [{"params": [parameter]} for parameter in features]
    optimizer = torch.optim.AdamW(groups, lr=0.1, weight_decay=0.0)
    optimizer.step()
    before = feature.detach().clone()
    # After one step Adam's second moment is the squared gradient: the rate of a value is lr / |gradient|.
    threshold = 0.01 * 0.1 / feature.grad.abs()
    old_soft_threshold(optimizer, features, 0.01)
    expected = torch.sign(before) * (before.abs() - len(groups) * threshold).clamp(min=0)
    torch.testing.assert_close(feature.detach(), expected, rtol=1e-4, atol=1e-6)


def test_old_samplers_draw_by_score_and_only_samples_of_one_session():
    scores = [torch.tensor([0.0, 1.0, 1.0]), torch.tensor([0.0, 0.0, 1.0, 1.0])]
    sampler = OldBySession(scores, 2)
    for _ in range(20):
        session, samples = sampler.batch(0.7)
        assert sorted(samples.tolist()) == {0: [1, 2], 1: [2, 3]}[session]
    assert set(OldWeighted(scores[0], 100).batch(0.7).tolist()) == {1, 2}


def test_one_multinomial_ends_at_two_to_the_24():
    with pytest.raises(RuntimeError, match="2\\^24"):
        OldWeighted(torch.ones(2**24 + 1), 1).batch(0.5)


@pytest.mark.parametrize("use", ddp.USES)
def test_as_many_readouts_are_used_as_the_row_says(use):
    sizes = ddp.Sizes(readouts=20, steps=30)
    counts = [len(set(used)) for used in ddp.draws(use, sizes)]
    assert {"1": counts == [1] * 30, "20": counts == [20] * 30, "1 to 20": len(set(counts)) > 5}[use]
    assert len({tuple(used) for used in ddp.draws(use, sizes)}) > 1 or use == "20"
