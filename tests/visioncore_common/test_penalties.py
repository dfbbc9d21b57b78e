"""Shapes of weights: smooth, apart, bounded, sparse by filter, against NumPy and closed forms."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from visioncore_common.options.regularizer import (
    ClampOptions,
    GroupLassoOptions,
    LaplacianOptions,
    ProximalL1Options,
)
from visioncore_common.regularizers.clamp import Clamp
from visioncore_common.regularizers.laplacian import Laplacian
from visioncore_common.regularizers.lasso import group_lasso
from visioncore_common.regularizers.orthogonality import Orthogonality
from visioncore_common.regularizers.proximal import proximal_l1
from visioncore_engine.contracts import Clock, RegularizerFacts
from visioncore_engine.errors import ConfigError
from visioncore_engine.options import RegularizerOptions


def build(builder, options, values, optimizer=None, **written):
    block = {"strength": 1.0, "match": "*", **written}
    return builder(options.model_validate_json(json.dumps(block)), RegularizerFacts(values, optimizer))


def weight(*shape, seed=0):
    return nn.Parameter(torch.from_numpy(np.random.default_rng(seed).normal(size=shape)))


def bumps(kernel):
    """Laplacian in the plane at places that have four neighbours, written out."""
    inner = kernel[..., 1:-1, 1:-1]
    return kernel[..., :-2, 1:-1] + kernel[..., 2:, 1:-1] + kernel[..., 1:-1, :-2] + kernel[..., 1:-1, 2:] - 4 * inner


def test_laplacian_in_space_is_that_of_the_plane_and_in_time_the_second_difference():
    value = weight(2, 3, 5, 6, 4)
    space = build(Laplacian, LaplacianOptions, {"w": value}).penalty({"w": value})
    assert space.item() == pytest.approx((bumps(value.detach().numpy()) ** 2).sum())
    time = build(Laplacian, LaplacianOptions, {"w": value}, axes=[-3]).penalty({"w": value})
    assert time.item() == pytest.approx((np.diff(value.detach().numpy(), n=2, axis=2) ** 2).sum())
    torch.autograd.gradcheck(
        lambda w: build(Laplacian, LaplacianOptions, {"w": w}).penalty({"w": w}), (value,), fast_mode=True
    )


@settings(deadline=None, max_examples=20)
@given(st.tuples(*[st.floats(-3, 3)] * 4))
def test_laplacian_of_what_is_constant_or_linear_is_zero(slopes):
    offset, *along = slopes
    grid = torch.stack(torch.meshgrid(*[torch.arange(4.0).double()] * 3, indexing="ij"))
    plane = nn.Parameter((offset + sum(a * g for a, g in zip(along, grid, strict=True)))[None, None])
    for axes in ([-2, -1], [-3], [-3, -2, -1]):
        assert build(Laplacian, LaplacianOptions, {"w": plane}, axes=axes).penalty({"w": plane}).item() < 1e-20


@pytest.mark.parametrize("shape", [(3,), (2, 3, 2)])
def test_weights_too_small_to_bend_are_named(shape):
    with pytest.raises(ConfigError, match="needs three values along each, and no axis twice; too few in w"):
        build(Laplacian, LaplacianOptions, {"w": weight(*shape)})


def test_one_axis_under_two_names_is_refused():
    """Axes -2 and 0 of a matrix are the same."""
    with pytest.raises(ConfigError, match="no axis twice; too few in w"):
        build(Laplacian, LaplacianOptions, {"w": weight(5, 5)}, axes=[-2, 0])
    assert build(Laplacian, LaplacianOptions, {"w": weight(5, 5)}, axes=[-2, 1])


def test_orthogonality_counts_directions_only():
    value = weight(4, 3, 2)
    rows = value.detach().numpy().reshape(4, -1)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found = build(Orthogonality, RegularizerOptions, {"w": value}).penalty({"w": value})
    assert found.item() == pytest.approx(((rows @ rows.T - np.eye(4)) ** 2).sum())
    apart = nn.Parameter(
        torch.linalg.qr(weight(5, 5)).Q.detach() * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]).double()[:, None]
    )
    assert build(Orthogonality, RegularizerOptions, {"w": apart}).penalty({"w": apart}).item() < 1e-20
    with pytest.raises(ConfigError, match="2 axes or more; too few in bias"):
        build(Orthogonality, RegularizerOptions, {"bias": weight(4)})


@pytest.mark.parametrize("scaled", [False, True])
def test_a_filter_is_the_kernel_from_one_input_to_one_output(scaled):
    value = weight(2, 3, 4, 5)
    lasso = build(group_lasso, GroupLassoOptions, {"w": value}, groups="filter", size_scaled=scaled)
    wanted = sum(np.linalg.norm(kernel) for row in value.detach().numpy() for kernel in row) * (
        20**0.5 if scaled else 1
    )
    assert lasso.penalty({"w": value}).item() == pytest.approx(wanted)
    with torch.no_grad():
        value[1].zero_()
    (gradient,) = torch.autograd.grad(lasso.penalty({"w": value}), value)
    assert torch.equal(gradient[1], torch.zeros_like(gradient[1]))
    with pytest.raises(ConfigError, match="2 axes or more"):
        build(group_lasso, GroupLassoOptions, {"w": weight(3)}, groups="filter")


def test_a6_a_ramp_of_bounds_never_crushes():
    """It is the bound that goes from 10 to 1.5: nothing within it moves, at any moment, and the last bound stays."""
    value = nn.Parameter(torch.tensor([-20.0, -1.0, 1.2, 5.0, 20.0]).double())
    ramp = {"schedule": "ramp", "start": 10.0, "stop": 1.5, "steps": 50, "clock": "epoch"}
    clamp = build(Clamp, ClampOptions, {"w": value}, min=-2.0, max=ramp)
    for epoch, bound in ((0.0, 10.0), (1.0, 9.83), (25.0, 5.75), (50.0, 1.5), (500.0, 1.5)):
        clamp.at(Clock(0, epoch, 0.0))
        clamp.proximal({"w": value}, 1.0, {"w": 1e-3})
        wanted = [-2.0, -1.0, 1.2, min(5.0, bound), bound]
        assert value.tolist() == pytest.approx(wanted)


def test_clamps_that_bound_nothing_or_backwards_are_refused():
    for bounds, message in (({}, "nothing would be bounded"), ({"min": 1.0, "max": 0.0}, "lies above")):
        with pytest.raises(ValueError, match=message):
            build(Clamp, ClampOptions, {"w": weight(3)}, **bounds)


def test_a5_a_clamp_leaves_frozen_values_alone():
    value = nn.Parameter(torch.tensor([-1.0, 3.0]), requires_grad=False)
    build(Clamp, ClampOptions, {"w": value}, min=0.0).proximal({"w": value}, 1.0, {"w": 0.1})
    assert value.tolist() == [-1.0, 3.0]


def test_a4_the_threshold_of_each_value_is_what_adam_makes_of_its_rate():
    """After Adam's formulas written out: the rate over sqrt(v / (1 - beta2^t)) + eps."""
    value, other = weight(6), weight(3, seed=1)
    optimizer = torch.optim.AdamW(
        [{"params": [other], "lr": 5.0}, {"params": [value]}], lr=0.01, betas=(0.9, 0.99), weight_decay=0.0
    )
    second, draws = np.zeros(6), np.random.default_rng(3)
    for _ in range(3):
        gradient = draws.normal(size=6)
        second = 0.99 * second + 0.01 * gradient**2
        value.grad = torch.from_numpy(gradient)
        optimizer.step()
    before = value.detach().numpy().copy()
    bound = 0.5 * 0.01 / (np.sqrt(second / (1 - 0.99**3)) + 1e-8)
    build(proximal_l1, ProximalL1Options, {"w": value}, optimizer, rates="value").proximal(
        {"w": value}, 0.5, {"w": 0.01}
    )
    np.testing.assert_allclose(value.detach(), np.sign(before) * np.maximum(np.abs(before) - bound, 0), rtol=1e-12)
    plain = nn.Parameter(torch.ones(2))
    step = build(proximal_l1, ProximalL1Options, {"w": plain}, torch.optim.SGD([plain], lr=1.0), rates="value")
    step.proximal({"w": plain}, 1.0, {"w": 0.25})
    assert plain.tolist() == [0.75, 0.75]
