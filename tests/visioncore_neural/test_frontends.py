"""Frontends: windows and norms of learned filters, the fixed basis, dynamical adaptation."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from neural_models import double, stage
from pydantic import ValidationError

from visioncore_engine.errors import ConfigError
from visioncore_neural.options.frontend import DynamicalAdaptationOptions, TemporalBasisOptions
from visioncore_neural.options.stage import LearnableTemporalOptions
from visioncore_neural.stages.bands import Bands
from visioncore_neural.stages.bases import temporal_basis
from visioncore_neural.stages.kernels import KERNELS
from visioncore_neural.stages.weights import hann

SHAPE = (2, 3, 4)


def build(name, shape=SHAPE, dt=0.01, **options):
    torch.manual_seed(0)
    with double():
        return stage(name, shape, dt, **options)


def frames(num_windows, num_frames, shape=SHAPE):
    draw = torch.Generator().manual_seed(0)
    return torch.randn(num_windows, shape[0], num_frames, *shape[1:], generator=draw, dtype=torch.float64)


# -- learnable_temporal


@pytest.mark.parametrize("init", ["gaussian_derivatives", "biphasic", "identity"])
@pytest.mark.parametrize("weight_norm", ["none", "unit", "gain"])
def test_a19_the_chosen_start_is_what_is_applied_under_a_window_and_a_norm(init, weight_norm):
    module = build(
        "learnable_temporal", kernel_size=8, num_channels=6, init=init, window="time", weight_norm=weight_norm
    )
    expected = KERNELS[init](3, 8, 0.01)
    kernel = module.kernel().detach().numpy()[..., 0, 0]
    for channel in range(6):
        np.testing.assert_allclose(kernel[channel, channel % 2], expected[channel // 2], rtol=1e-6, atol=1e-9)
        assert np.all(kernel[channel, 1 - channel % 2] == 0)


def test_a19_a_windowed_random_start_is_as_random_as_without():
    energies = [
        build("learnable_temporal", (1, 1, 1), kernel_size=9, num_channels=400, init="random", window=window)
        .kernel()
        .square()
        .sum()
        .item()
        for window in ("none", "time")
    ]
    assert energies[0] == pytest.approx(energies[1], rel=1e-9)  # the same draw: the window divides and multiplies


def test_every_weight_under_a_window_has_an_effect():
    for size in (1, 2, 5, 16):
        window = hann(size, 2.0)
        assert window.min() > 0
        torch.testing.assert_close(window, window.flip(0))
        assert window.square().mean().item() == pytest.approx(1)
    expected = np.sin(np.pi * np.arange(1, 6) / 6) ** 2
    np.testing.assert_allclose(hann(5, 1.0), expected / np.sqrt((expected**2).mean()), rtol=1e-6)


@pytest.mark.parametrize(("weight_norm", "norm"), [("unit", 1.0), ("gain", 0.3)])
def test_c2_weight_norm_has_no_dead_parameter_and_says_what_the_norm_is(weight_norm, norm):
    module = build("learnable_temporal", init="random", weight_norm=weight_norm, window="time")
    if module.gain is not None:
        torch.nn.init.constant_(module.gain, norm)
    norms = module.kernel().flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, torch.full_like(norms, norm))
    module(frames(1, 20)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in module.parameters())
    assert [name for name, _ in module.named_parameters()] == ["weight", *(["gain"] if weight_norm == "gain" else [])]


def test_a_power_without_a_window_is_refused():
    with pytest.raises(ValidationError, match="`window_power` needs a `window`"):
        LearnableTemporalOptions(window_power=2.0)


def test_bands_are_a_gaussian_blur_and_what_it_takes_away():
    with double():
        bands = Bands(0.8, (3, 4))
    clip = frames(1, 2)
    coarse, fine = bands(clip).chunk(2, dim=1)
    torch.testing.assert_close(coarse + fine, clip)
    window = np.exp(-0.5 * (np.arange(-3, 4) / 0.8) ** 2)
    window /= window.sum()
    picture = clip[0, 1, 1].numpy()
    for y in range(3):
        for x in range(4):
            expected = sum(
                window[i + 3] * window[j + 3] * picture[np.clip(y + i, 0, 2), np.clip(x + j, 0, 3)]
                for i in range(-3, 4)
                for j in range(-3, 4)
            )
            assert coarse[0, 1, 1, y, x].item() == pytest.approx(expected, rel=1e-9)
    uniform = bands(torch.ones(1, 2, 1, 3, 4, dtype=torch.float64))
    torch.testing.assert_close(uniform[:, 2:], torch.zeros_like(uniform[:, 2:]))


def test_each_band_has_filters_of_its_own():
    module = build("learnable_temporal", kernel_size=4, num_channels=2, bands=1.0, init="random")
    assert module.out_shape == (4, 3, 4)
    assert module.kernel().shape == (4, 2, 4, 1, 1)
    clip = frames(1, 5)
    coarse, fine = module.bands(clip).chunk(2, dim=1)
    kernel = module.kernel()
    expected = torch.cat(
        [torch.nn.functional.conv3d(coarse, kernel[:2]), torch.nn.functional.conv3d(fine, kernel[2:])], 1
    )
    torch.testing.assert_close(module(clip), expected)
    with pytest.raises(ConfigError, match="a single pixel has no fine part"):
        build("learnable_temporal", (1, 1, 1), bands=1.0)


# -- temporal_basis


def test_temporal_basis_equals_its_formula():
    options = TemporalBasisOptions(kernel_size=20, num_deltas=2, num_cosines=3, peaks_ms=(20.0, 90.0), normalize="none")
    expected = np.zeros((5, 20))
    expected[0, 19] = expected[1, 18] = 1.0
    centres = np.linspace(np.log(30.0), np.log(100.0), 3)
    for j, centre in enumerate(centres):
        for frame in range(20):
            lag = (19 - frame + 0.5) * 10.0
            angle = np.pi * (np.log(lag + 10.0) - centre) / (2 * (centres[1] - centres[0]))
            expected[2 + j, frame] = (1 + np.cos(angle)) / 2 if abs(angle) < np.pi else 0.0
    np.testing.assert_allclose(temporal_basis(options, 0.01), expected, rtol=1e-12, atol=1e-12)
    module = build("temporal_basis", **json.loads(options.model_dump_json()))
    clip = frames(2, 23)
    output = module(clip).detach().numpy()
    reference = np.stack(
        [np.einsum("jk,bckhw->bcjhw", expected, clip.numpy()[:, :, t : t + 20]) for t in range(4)], axis=3
    ).reshape(2, 10, 4, 3, 4)
    np.testing.assert_allclose(output, reference, rtol=1e-9, atol=1e-9)
    assert list(module.parameters()) == []
    assert module.out_shape == (10, 3, 4)


def test_a27_the_basis_is_measured_in_milliseconds():
    options = TemporalBasisOptions(kernel_size=160, num_cosines=2, peaks_ms=(30.0, 80.0), normalize="none")
    for dt in (0.01, 0.0025, 1 / 120):
        basis = temporal_basis(options, dt)[:, ::-1]
        for row, peak in zip(basis, (0.030, 0.080), strict=True):
            assert abs((np.argmax(row) + 0.5) * dt - peak) <= dt


def test_cosines_sum_to_two_between_the_peaks():
    options = TemporalBasisOptions(
        kernel_size=40, num_cosines=6, peaks_ms=(5.0, 300.0), spacing="linear", normalize="none"
    )
    total = temporal_basis(options, 0.01)[:, ::-1].sum(axis=0)
    lags = (np.arange(40) + 0.5) * 10
    inside = (lags >= 5 + 59) & (lags <= 300 - 59)
    np.testing.assert_allclose(total[inside], 2.0, rtol=1e-12)


@pytest.mark.parametrize("normalize", ["sum", "norm"])
def test_functions_are_brought_to_sum_or_norm_one(normalize):
    basis = temporal_basis(TemporalBasisOptions(kernel_size=30, normalize=normalize), 0.01)
    size = basis.sum(1) if normalize == "sum" else np.linalg.norm(basis, axis=1)
    np.testing.assert_allclose(size, 1.0, rtol=1e-12)


def test_an_orthogonal_basis_spans_the_same_filters():
    plain = TemporalBasisOptions(kernel_size=30, num_deltas=1)
    basis = temporal_basis(plain, 0.01)
    orthogonal = temporal_basis(plain.model_copy(update={"orthogonalize": True}), 0.01)
    np.testing.assert_allclose(orthogonal @ orthogonal.T, np.eye(7), atol=1e-12)
    np.testing.assert_allclose(basis @ orthogonal.T @ orthogonal, basis, atol=1e-12)
    assert np.all(np.diag(basis @ orthogonal.T) > 0)


@pytest.mark.parametrize(
    ("options", "dt", "message"),
    [
        ({"kernel_size": 6, "peaks_ms": [10, 500]}, 0.01, r"peaks_ms: 6 functions over 6 frames depend on each other"),
        ({}, None, "num_cosines: cosines are placed in milliseconds"),
    ],
)
def test_a_basis_that_cannot_be_is_refused(options, dt, message):
    with pytest.raises(ConfigError, match=message):
        build("temporal_basis", dt=dt, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_cosines": 0}, "needs a function"),
        ({"kernel_size": 3}, "no more than 3 independent functions"),
        ({"peaks_ms": [80, 20]}, "must rise"),
        ({"orthogonalize": True, "normalize": "sum"}, "needs `normalize: norm`"),
    ],
)
def test_impossible_bases_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        TemporalBasisOptions.model_validate_json(json.dumps(options))


def test_deltas_need_no_frame_duration():
    module = build("temporal_basis", dt=None, num_deltas=2, num_cosines=0, kernel_size=3)
    clip = frames(1, 5)
    assert torch.equal(module(clip)[:, 0], clip[:, 0, 2:])
    assert torch.equal(module(clip)[:, 3], clip[:, 1, 1:-1])


# -- dynamical_adaptation

ADAPTATION = {"kernel_size": 12, "tau_y_ms": 12.0, "tau_z_ms": 40.0, "order_y": 3.0, "order_z": 1.5, "offset": 0.7}


def test_dynamical_adaptation_equals_its_formula():
    module = build("dynamical_adaptation", alpha=2.0, beta=0.6, gamma=0.3, **ADAPTATION)
    lags = (np.arange(12)[::-1] + 0.5) * 10.0
    fast = lags**3 * np.exp(-lags / 12)
    slow = lags**1.5 * np.exp(-lags / 40)
    fast, slow = fast / fast.sum(), slow / slow.sum()
    slow = 0.3 * fast + 0.7 * slow
    clip = frames(2, 15)
    s = np.maximum(clip.numpy() + 0.7, 0)
    y, z = (np.stack([np.einsum("k,bckhw->bchw", f, s[:, :, t : t + 12]) for t in range(4)], 2) for f in (fast, slow))
    np.testing.assert_allclose(module(clip).detach().numpy(), 2 * y / (1 + 0.6 * z), rtol=1e-6, atol=1e-9)


def test_adaptation_to_steady_light_and_to_darkness():
    module = build("dynamical_adaptation", alpha=2.0, beta=0.6, **ADAPTATION)
    steady = module(torch.full((1, 2, 13, 3, 4), 4.3, dtype=torch.float64))
    torch.testing.assert_close(steady, torch.full_like(steady, 2.0 * 5 / (1 + 0.6 * 5)), rtol=1e-6, atol=0)
    assert torch.all(module(torch.full((1, 2, 13, 3, 4), -9.0, dtype=torch.float64)) == 0)


def test_a_step_is_followed_by_a_sag():
    module = build("dynamical_adaptation", alpha=1.0, beta=2.0, kernel_size=60, tau_y_ms=5.0, tau_z_ms=80.0)
    clip = torch.full((1, 2, 160, 3, 4), 0.5, dtype=torch.float64)
    clip[:, :, 80:] = 5.0
    response = module(clip)[0, 0, :, 0, 0]
    assert response.max() > 1.2 * response[-1]


def test_constants_of_adaptation_learn_or_do_not():
    learned = build("dynamical_adaptation", **ADAPTATION)
    learned(frames(1, 14)).square().sum().backward()
    assert len(list(learned.parameters())) == 5
    assert all(parameter.grad.abs() > 0 for parameter in learned.parameters())
    fixed = build("dynamical_adaptation", learn=False, **ADAPTATION)
    assert list(fixed.parameters()) == []
    assert fixed.state_dict().keys() == learned.state_dict().keys()


def test_a27_adaptation_without_a_frame_duration_is_refused():
    with pytest.raises(ConfigError, match="time constants are milliseconds"):
        build("dynamical_adaptation", dt=None)
    with pytest.raises(ValidationError, match="less than 1"):
        DynamicalAdaptationOptions(gamma=1.0)
