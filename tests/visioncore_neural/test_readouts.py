"""Readouts: features to the drive of each unit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_models import choice, double, recording
from pydantic import ValidationError
from torch import nn

from visioncore_engine.contracts import ReadoutFacts
from visioncore_neural.models.assembly import read
from visioncore_neural.options.readout import GaussianMixtureOptions, GaussianOptions
from visioncore_neural.readouts.gaussian import Gaussian
from visioncore_neural.readouts.weighted import stacked


def build(name="gaussian", shape=(4, 5, 7), num_units=3, *, seed=0, **options):
    torch.manual_seed(seed)
    spec = recording(num_units=num_units)
    with double():
        return choice("readout", name, **options).build(ReadoutFacts(shape, spec, spec.targets["robs"]))


def scattered(**options):
    readout = build(**options)
    for parameter in readout.parameters():
        nn.init.normal_(parameter, std=0.5)
    return readout


def features(shape=(4, 5, 7), num_windows=2, num_frames=3):
    draw = torch.Generator().manual_seed(0)
    return torch.randn(num_windows, shape[0], num_frames, *shape[1:], generator=draw, dtype=torch.float64)


def window(mean, std, theta, height, width):
    """The mask from its formula, pixel by pixel."""
    mask = np.zeros((height, width))
    for i, y in enumerate(np.linspace(-1, 1, height) if height > 1 else [0.0]):
        for j, x in enumerate(np.linspace(-1, 1, width) if width > 1 else [0.0]):
            dx, dy = x - mean[0], y - mean[1]
            along = np.cos(theta) * dx + np.sin(theta) * dy
            across = -np.sin(theta) * dx + np.cos(theta) * dy
            mask[i, j] = np.exp(-0.5 * ((along / std[0]) ** 2 + (across / std[1]) ** 2))
    return mask / mask.sum()


@pytest.mark.parametrize("rotate", [False, True])
@pytest.mark.parametrize("shape", [(4, 5, 7), (4, 1, 9), (4, 1, 1)], ids=["2-D", "1-D", "no space"])
def test_gaussian_equals_its_formula(shape, rotate):
    readout = scattered(shape=shape, rotate=rotate)
    mean, std = readout.mean.detach().numpy(), readout.std.detach().numpy()
    theta = readout.theta.detach().numpy() if rotate else np.zeros(3)
    masks = np.stack([window(mean[n], std[n], theta[n], *shape[1:]) for n in range(3)])
    np.testing.assert_allclose(readout.mask().detach().numpy(), masks, rtol=1e-10, atol=1e-14)
    x = features(shape)
    expected = np.einsum("bcthw,nhw,nc->btn", x.numpy(), masks, readout.features.detach().numpy())
    expected += readout.bias.detach().numpy()
    np.testing.assert_allclose(readout(x).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


def test_means_are_x_then_y_and_grow_rightward_and_downward():
    readout = build(shape=(1, 5, 9), num_units=2)
    with torch.no_grad():
        readout.mean.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        readout.log_std.fill_(-2.0)
    peaks = [divmod(int(mask.argmax()), 9) for mask in readout.mask()]
    assert peaks == [(2, 8), (4, 4)]


@settings(deadline=None, max_examples=40)
@given(
    mean=st.tuples(*[st.floats(-30, 30)] * 2),
    log_std=st.tuples(*[st.floats(-40, 5)] * 2),
    theta=st.floats(-10, 10),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
)
def test_masks_are_positive_finite_and_sum_to_one_wherever_they_wander(mean, log_std, theta, height, width):
    readout = build(shape=(2, height, width), num_units=1, rotate=True)
    with torch.no_grad():
        readout.mean.copy_(torch.tensor([mean]))
        readout.log_std.copy_(torch.tensor([log_std]))
        readout.theta.fill_(theta)
    mask = readout.mask()
    assert mask.min() >= 0
    assert abs(mask.sum().item() - 1) < 1e-12
    readout(features((2, height, width))).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in readout.parameters())


@pytest.mark.parametrize("name", ["gaussian", "pooled"])
def test_a_map_without_space_is_read_as_its_value(name):
    readout = build(name)
    level = features((4, 1, 1))
    expected = torch.einsum("bct,nc->btn", level[..., 0, 0], readout.features) + readout.bias
    torch.testing.assert_close(readout(level.expand(-1, -1, -1, 5, 7)), expected, rtol=1e-12, atol=1e-12)


def test_pooled_equals_its_formula():
    readout = scattered(name="pooled")
    x = features()
    expected = torch.einsum("bcthw,nc->btn", x, readout.features) / 35 + readout.bias
    torch.testing.assert_close(readout(x), expected, rtol=1e-12, atol=1e-12)


OTHERS = [
    {"name": "gaussian_mixture", "num_gaussians": 3, "rotate": True},
    {"name": "gaussian_mixture", "shared_features": False},
    {"name": "factorized"},
    {"name": "factorized", "nonnegative": True},
]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("shape", [(4, 5, 7), (4, 1, 9), (4, 1, 1)], ids=["2-D", "1-D", "no space"])
def test_gaussian_mixture_equals_its_formula(shape, shared):
    readout = scattered(name="gaussian_mixture", shape=shape, num_gaussians=2, rotate=True, shared_features=shared)
    mean, std, theta = (value.detach().numpy() for value in (readout.mean, readout.std, readout.theta))
    masks = np.stack([[window(mean[n, k], std[n, k], theta[n, k], *shape[1:]) for k in range(2)] for n in range(3)])
    x, weights = features(shape).numpy(), readout.features.detach().numpy()
    if shared:
        share = np.exp(readout.logits.detach().numpy())
        share /= share.sum(1, keepdims=True)
        expected = np.einsum("bcthw,nkhw,nk,nc->btn", x, masks, share, weights)
    else:
        share = np.linalg.norm(weights, axis=2)
        share /= share.sum(1, keepdims=True)
        expected = np.einsum("bcthw,nkhw,nkc->btn", x, masks, weights)
    expected += readout.bias.detach().numpy()
    np.testing.assert_allclose(readout(features(shape)).detach().numpy(), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(readout.mask().detach().numpy(), np.einsum("nk,nkhw->nhw", share, masks), rtol=1e-10)


def test_a_mixture_of_one_is_the_gaussian():
    one, mixture = scattered(rotate=True), scattered(name="gaussian_mixture", num_gaussians=1, rotate=True)
    with torch.no_grad():
        for name, parameter in one.named_parameters():
            mixture.get_parameter(name).copy_(parameter.view_as(mixture.get_parameter(name)))
    torch.testing.assert_close(mixture(features()), one(features()), rtol=1e-12, atol=1e-12)


def test_windows_that_would_stay_alike_are_refused():
    with pytest.raises(ValidationError, match="windows that start alike stay alike"):
        GaussianMixtureOptions(init_mean_scale=0.0)
    GaussianMixtureOptions(init_mean_scale=0.0, num_gaussians=1)


@pytest.mark.parametrize("nonnegative", [False, True])
def test_factorized_equals_its_formula(nonnegative):
    readout = scattered(name="factorized", nonnegative=nonnegative)
    space = readout.space.detach().numpy()
    assert space.min() < 0
    expected = np.einsum(
        "bcthw,nhw,nc->btn",
        features().numpy(),
        np.abs(space) if nonnegative else space,
        readout.features.detach().numpy(),
    )
    expected += readout.bias.detach().numpy()
    np.testing.assert_allclose(readout(features()).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


def test_factorized_starts_as_the_spatial_average():
    factorized, pooled = build("factorized", init_noise=0.0), build("pooled")
    with torch.no_grad():
        factorized.features.copy_(pooled.features)
    torch.testing.assert_close(factorized(features()), pooled(features()), rtol=1e-9, atol=1e-12)
    noisy = build("factorized", num_units=300, init_noise=0.5).space * 35
    assert abs(noisy.std().item() - 0.5) < 0.02


def test_a_mask_that_was_set_to_zero_can_come_back():
    readout = build("factorized", nonnegative=True)
    with torch.no_grad():
        readout.space.zero_()
    readout(features()).sum().backward()
    assert readout.space.grad.abs().sum() > 0


@pytest.mark.parametrize("options", [{}, {"rotate": True}, {"name": "pooled"}, *OTHERS])
def test_gradients_equal_finite_differences(options):
    readout = scattered(shape=(2, 3, 4), num_units=2, **options)
    names, values = zip(*readout.named_parameters(), strict=True)
    x = features((2, 3, 4), 1, 2).requires_grad_()

    def call(inputs, *parameters):
        return torch.func.functional_call(readout, dict(zip(names, parameters, strict=True)), (inputs,))

    assert torch.autograd.gradcheck(call, (x, *values))


@pytest.mark.parametrize("name", ["gaussian", "pooled", "gaussian_mixture", "factorized"])
def test_memory_layout_and_other_windows_change_nothing(name):
    readout = build(name)
    x = features(num_windows=3)
    last = x.contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(readout(x), readout(last), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(readout(x[:1]), readout(x)[:1], rtol=1e-12, atol=1e-12)


def test_starts_as_the_options_say():
    readout = build(num_units=400, init_std=0.3, init_mean_scale=0.2, min_std=0.1)
    torch.testing.assert_close(readout.std, torch.full((400, 2), 0.3).double(), rtol=1e-6, atol=0)
    assert abs(readout.mean.std().item() - 0.2) < 0.02
    assert build(init_mean_scale=0).mean.abs().max() == 0
    assert build(num_units=400, init_mean_scale=9).mean.abs().max() == 1
    assert readout.theta is None
    with torch.no_grad():
        readout.log_std.fill_(-100)
    assert readout.std.min() >= 0.1


def test_every_parameter_gets_a_gradient():
    for options in ({}, {"rotate": True, "init_mean_scale": 0.5}, {"name": "pooled"}, *OTHERS):
        readout = build(**options)
        if readout_theta := getattr(readout, "theta", None) is not None:
            with torch.no_grad():
                readout.log_std[..., 0] += 0.5  # a round window has no angle
        assert readout_theta == ("rotate" in options)
        readout(features()).square().sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in readout.parameters())


@pytest.mark.parametrize("options", [{}, {"name": "pooled"}, *OTHERS])
def test_drives_are_close_under_autocast(options):
    readout = scattered(**options).float()
    exact = readout(features().float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(readout(features().float()).float(), exact, atol=0.1, rtol=0.05)


def test_a_start_below_the_floor_is_refused():
    with pytest.raises(ValidationError, match="must be larger than `min_std`"):
        GaussianOptions(init_std=0.01)


NAMES = ["factorized", "gaussian", "gaussian_mixture", "pooled"]


@pytest.mark.parametrize("name", NAMES)
def test_products_as_one_are_those_of_each_recording(name):
    readouts = [scattered(name=name, seed=seed) for seed in range(3)]
    x = features(num_windows=6)
    weights, biases = [own.weights() for own in readouts], [own.bias for own in readouts]
    drives = stacked(readouts[0].rows(x), weights, biases)
    for drive, readout, share in zip(drives, readouts, x.split(2), strict=True):
        torch.testing.assert_close(drive, readout(share))
    for own, used in zip(biases, (True, False, True), strict=True):  # a stacked parameter stays one of its own
        (gradient,) = torch.autograd.grad(drives[0].sum() + drives[2].sum(), own, retain_graph=True)
        assert bool(gradient.any()) is used


@pytest.mark.parametrize("name", NAMES)
def test_readouts_are_read_as_one_and_one_that_is_absent_keeps_no_gradient(name, monkeypatch):
    readouts = [scattered(name=name, seed=seed, num_units=2 + seed) for seed in range(3)]
    x, sizes = features(num_windows=4), [3, 1]
    alone = [readout(share) for readout, share in zip(readouts[:2], x.split(sizes), strict=True)]
    monkeypatch.setattr(type(readouts[0]), "forward", None)  # nobody is called alone
    drives = read(readouts[:2], x, sizes)
    for drive, expected in zip(drives, alone, strict=True):
        torch.testing.assert_close(drive, expected, rtol=1e-12, atol=1e-12)
    sum(drive.square().sum() for drive in drives).backward()
    assert all(parameter.grad is not None for own in readouts[:2] for parameter in own.parameters())
    assert all(parameter.grad is None for parameter in readouts[2].parameters())


def test_a_readout_that_is_changed_by_a_subclass_or_a_hook_is_called_itself():
    class Doubled(Gaussian):
        def forward(self, features):
            return 2 * super().forward(features)

    plain, other = scattered(seed=0), scattered(seed=1)
    x = features(num_windows=4)
    plain.__class__ = Doubled
    drives = read([plain, plain], x, [1, 3])
    torch.testing.assert_close(drives[1], plain(x[1:]))
    seen = []
    other.register_forward_hook(lambda module, given, output: seen.append(output))
    read([other, other], x, [1, 3])
    assert [len(output) for output in seen] == [1, 3]
