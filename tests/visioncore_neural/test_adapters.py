"""The affine adapter: blur without shift, resampling without surprise, both learned."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_models import choice, double, recording
from pydantic import ValidationError
from torch import nn

from visioncore_engine.contracts import AdapterFacts
from visioncore_neural.options.adapter import AffineOptions

TRANSFORMS = pytest.mark.parametrize("transform", ["scale", "affine"])


def build(shape=(2, 6, 7), **options):
    options.setdefault("grid_size", list(shape[1:]))
    with double():
        return choice("adapter", "affine", **options).build(AdapterFacts(shape, recording(shape=shape)))


def pictures(shape=(2, 6, 7), num_windows=2, num_frames=3):
    draw = torch.Generator().manual_seed(0)
    return torch.randn(num_windows, shape[0], num_frames, *shape[1:], generator=draw, dtype=torch.float64)


@TRANSFORMS
def test_the_identity_grid_without_blur_returns_its_input(transform):
    x = pictures()
    torch.testing.assert_close(build(transform=transform, blur_size=1)(x), x, rtol=1e-12, atol=1e-12)


def naive_blur(x, sigma, size):
    reach = size // 2
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps /= taps.sum()
    for axis in (3, 4):
        x = np.apply_along_axis(lambda line: np.correlate(np.pad(line, reach, mode="edge"), taps, "valid"), axis, x)
    return x


@TRANSFORMS
@pytest.mark.parametrize("size", [3, 7, 13])
def test_a21_the_blur_is_a_gaussian_of_odd_size_that_keeps_the_number_of_pixels(transform, size):
    x = pictures()
    adapter = build(transform=transform, blur_size=size, init_sigma=1.3)
    np.testing.assert_allclose(adapter(x).detach().numpy(), naive_blur(x.numpy(), 1.3, size), rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(sigma=st.floats(0.05, 20), half=st.integers(1, 6))
def test_a21_the_blur_moves_nothing(sigma, half):
    kernel = build(blur_size=2 * half + 1, init_sigma=sigma).kernel()
    assert len(kernel) == 2 * half + 1
    torch.testing.assert_close(kernel, kernel.flip(0), rtol=1e-12, atol=0)
    assert abs(kernel.sum().item() - 1) < 1e-12
    assert kernel.argmax() == half or kernel.max() == kernel[half]


@TRANSFORMS
def test_a21_the_width_of_the_blur_learns(transform):
    x = pictures()
    target = torch.from_numpy(naive_blur(x.numpy(), 1.5, 7))
    adapter = build(transform=transform, init_sigma=0.5)
    adapter.theta.requires_grad_(requires_grad=False)
    optimizer = torch.optim.Adam(adapter.parameters(), lr=0.1)
    for _ in range(80):
        optimizer.zero_grad()
        (adapter(x) - target).square().mean().backward()
        optimizer.step()
    assert abs(adapter.log_sigma.exp().item() - 1.5) < 0.02


@TRANSFORMS
def test_gradients_equal_finite_differences(transform):
    adapter = build((1, 4, 5), transform=transform, grid_size=[3, 4], init_scale=0.77, init_sigma=0.8)
    names, values = zip(*adapter.named_parameters(), strict=True)

    def call(inputs, *parameters):
        return torch.func.functional_call(adapter, dict(zip(names, parameters, strict=True)), (inputs,))

    assert torch.autograd.gradcheck(call, (pictures((1, 4, 5), 1, 2).requires_grad_(), *values))


@TRANSFORMS
@pytest.mark.parametrize("grid", [[6, 7], [4, 9], [1, 3]])
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.4])
def test_resampling_is_bilinear_with_corners_aligned_and_the_border_continued(transform, grid, scale):
    x = pictures()
    adapter = build(grid_size=grid, transform=transform, init_scale=scale, blur_size=1)
    output = adapter(x).detach().numpy()
    height, width = 6, 7
    for i, y in enumerate(np.linspace(-1, 1, grid[0]) if grid[0] > 1 else [0.0]):
        for j, u in enumerate(np.linspace(-1, 1, grid[1])):
            row = np.clip((y * scale + 1) / 2 * (height - 1), 0, height - 1)
            column = np.clip((u * scale + 1) / 2 * (width - 1), 0, width - 1)
            top, left = min(int(row), height - 2), min(int(column), width - 2)
            down, right = row - top, column - left
            corner = x.numpy()[..., top : top + 2, left : left + 2]
            weights = np.outer([1 - down, down], [1 - right, right])
            np.testing.assert_allclose(output[..., i, j], (corner * weights).sum((-1, -2)), rtol=1e-12, atol=1e-12)


def test_the_map_takes_output_to_input_as_x_then_y():
    adapter = build((1, 5, 7), blur_size=1)
    with torch.no_grad():
        adapter.theta[0, 2] = 2 / 6  # one pixel to the right
    x = pictures((1, 5, 7))
    torch.testing.assert_close(adapter(x)[..., :-1], x[..., 1:], rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        adapter.theta.copy_(torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))
    square = pictures((1, 5, 5))
    turned = build((1, 5, 5), blur_size=1)
    turned.theta = adapter.theta
    torch.testing.assert_close(turned(square), square.transpose(3, 4), rtol=1e-12, atol=1e-12)


@TRANSFORMS
def test_a_uniform_picture_stays_uniform(transform):
    adapter = build(transform=transform, grid_size=[4, 9], init_scale=1.7, init_sigma=3.0)
    output = adapter(torch.full((1, 2, 2, 6, 7), 0.3, dtype=torch.float64))
    torch.testing.assert_close(output, torch.full_like(output, 0.3), rtol=1e-12, atol=1e-12)


@TRANSFORMS
@pytest.mark.parametrize(
    ("shape", "grid", "out_shape"),
    [
        ((1, 1, 31), 16, (1, 1, 16)),
        ((2, 1, 1), 16, (2, 1, 1)),
        ((1, 9, 5), 16, (1, 16, 16)),
        ((1, 1, 5), [2, 3], (1, 2, 3)),
    ],
)
def test_recordings_of_any_size_come_to_the_grid(transform, shape, grid, out_shape):
    adapter = build(shape, grid_size=grid, transform=transform)
    output = adapter(pictures(shape))
    assert adapter.out_shape == out_shape
    assert output.shape == (2, out_shape[0], 3, *out_shape[1:])


@TRANSFORMS
def test_every_parameter_gets_a_gradient(transform):
    adapter = build(transform=transform, grid_size=4)
    adapter(pictures()).square().sum().backward()
    assert [name for name, p in adapter.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    unblurred = build(blur_size=1)
    assert [name for name, _ in unblurred.named_parameters()] == ["theta"]


def test_coordinates_keep_their_precision_under_autocast():
    adapter = build((1, 31, 31), blur_size=1).float()
    x = torch.randn(1, 1, 1, 31, 31, generator=torch.Generator().manual_seed(0)).bfloat16().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(adapter(x).float(), x, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid_size": 5, "blur_size": 4}, "must be odd"),
        ({"grid_size": 0}, "greater than or equal to 1"),
        ({}, "Field required"),
        ({"grid_size": 5, "init_sigma": 0}, "greater than 0"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        AffineOptions.model_validate_json(json.dumps(options))


def test_parameters_belong_to_one_recording():
    assert isinstance(build().theta, nn.Parameter)
    assert build().theta is not build().theta
