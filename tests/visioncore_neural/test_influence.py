"""Influence by lag: exact where a closed form is known, and a defect that it shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from neural_models import batch, choice, encoder, model, recording, stage
from torch import nn

from visioncore_neural.analysis.influence import influence_by_lag, influence_of

SPEC = recording("m1_a", 3, side={"behavior": 2})


def frames(num_frames, shape=(1, 3, 4)):
    draw = torch.Generator().manual_seed(0)
    return torch.randn(2, shape[0], num_frames, *shape[1:], generator=draw)


def test_a_delay_has_all_its_influence_at_its_lag():
    delay = stage("learnable_temporal", (1, 3, 4), kernel_size=6, num_channels=4, init="identity")
    for lag in range(4):
        shares = influence_of(lambda x, lag=lag: delay(x)[:, lag : lag + 1], frames(9))
        np.testing.assert_array_equal(shares, np.arange(9) == lag)


def test_the_influence_of_a_linear_filter_is_its_squared_weights():
    module = stage("learnable_temporal", (1, 3, 4), kernel_size=6, num_channels=1, init="random")
    expected = np.zeros(8)
    expected[:6] = module.kernel().detach().numpy().ravel()[::-1] ** 2
    np.testing.assert_allclose(influence_of(module, frames(8)), expected / expected.sum(), rtol=1e-5)


def test_a20_a_newest_first_time_axis_shows():
    module = stage("learnable_temporal", (1, 3, 4), kernel_size=6, num_channels=1, init="identity")
    inside = influence_of(module, frames(8))
    newest_first = influence_of(lambda x: module(x.flip(2)), frames(8))
    assert inside[0] == 1.0
    assert newest_first[0] == 0.0
    assert newest_first[7] == 1.0


def test_what_has_no_influence_is_nan_and_not_zero():
    assert np.isnan(influence_of(torch.zeros_like, frames(4))).all()
    assert np.isnan(influence_of(lambda x: x.detach(), frames(4))).all()


@pytest.mark.parametrize("modulator", [{"name": "film"}, {"name": "predictive_coding", "hidden_channels": 3}])
def test_every_stage_of_a_model_is_measured_and_then_the_whole(modulator):
    built = encoder(
        [SPEC],
        core=(
            choice("stage", "learnable_temporal", kernel_size=4, num_channels=2),
            choice("stage", "conv3d", channels=[3], kernel_size=[2, 3, 3]),
        ),
        modulator=choice("modulator", modulator.pop("name"), **modulator),
        recurrent=(choice("stage", "conv_gru", hidden_channels=2, burn_in=3),),
    ).eval()
    before = {name: value.clone() for name, value in built.state_dict().items()}
    some = batch(built, [SPEC], (2,), length=3)
    found = influence_by_lag(built, some.groups[0])
    assert [one.name.split(" ")[0] for one in found] == ["core.0", "core.1", "modulator", "recurrent.0", "model"]
    for one in found:
        assert one.shares.sum() == pytest.approx(1.0)
        assert one.shares[0] > 0
    assert np.all(found[0].shares[4:] == 0)
    assert np.all(found[1].shares[2:] == 0)
    assert all(torch.equal(before[name], value) for name, value in built.state_dict().items())
    assert all(parameter.grad is None for parameter in built.parameters())
    assert not any(module._forward_pre_hooks for module in built.modules())


def test_models_without_stages_or_stimulus_are_measured_as_far_as_they_go():
    linear = model("ln", [SPEC], num_frames=4)
    nn.init.normal_(linear.units["m1_a"].stimulus)
    (whole,) = influence_by_lag(linear, batch(linear, [SPEC], (2,)).groups[0])
    assert whole.name == "model"
    assert np.flatnonzero(whole.shares).tolist() == [0, 1, 2, 3]
    blind = encoder([SPEC], core=(), stimulus=False, modulator=choice("modulator", "film"))
    found = influence_by_lag(blind, batch(blind, [SPEC], (2,)).groups[0])
    assert [one.name for one in found] == ["modulator (Film)"]
