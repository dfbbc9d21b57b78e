"""Stages: causal in time, of declared shape and history, equal to what their formulas say."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from neural_models import stage
from pydantic import ValidationError
from torch import nn

from visioncore_engine.errors import ConfigError
from visioncore_neural._model_components import COMPONENTS
from visioncore_neural.analysis.influence import influence_of
from visioncore_neural.options.recurrent import ConvGRUOptions
from visioncore_neural.options.stage import Conv3dOptions
from visioncore_neural.stages.kernels import biphasic, gaussian_derivatives, identity
from visioncore_neural.stages.norms import FrameNorm

SHAPE = (2, 5, 6)
BOUNDED = {
    "learnable_temporal": ("learnable_temporal", {"kernel_size": 5, "num_channels": 3}),
    "learnable_temporal_biphasic": ("learnable_temporal", {"kernel_size": 9, "init": "biphasic", "bias": True}),
    "conv3d": ("conv3d", {"channels": [3, 4], "kernel_size": [[3, 3, 3], [2, 1, 3]], "dropout": 0.3}),
    "conv3d_stride": ("conv3d", {"channels": [4], "stride": 2, "norm": "frame_group", "num_groups": 2}),
    "conv3d_plain": ("conv3d", {"channels": [3], "norm": "none", "activation": "gelu"}),
    "resnet3d": ("resnet3d", {"channels": [3, 4], "kernel_size": [2, 3, 3], "stride": [2, 1]}),
    "resnet3d_same": ("resnet3d", {"channels": [2], "norm": "none", "activation": "softplus"}),
    "resnet3d_batch": ("resnet3d", {"channels": [2], "norm": "batch"}),
    "temporal_windowed": ("learnable_temporal", {"kernel_size": 5, "window": "time", "weight_norm": "gain"}),
    "temporal_basis": ("temporal_basis", {"kernel_size": 12, "num_deltas": 1, "num_cosines": 3, "peaks_ms": [15, 80]}),
    "dynamical_adaptation": ("dynamical_adaptation", {"kernel_size": 6, "tau_y_ms": 15.0, "tau_z_ms": 40.0}),
    "conv3d_space_time": (
        "conv3d",
        {"channels": [4, 4], "separable": "space_time", "weight_norm": "gain", "pool": "blur", "pool_size": [2, 1]},
    ),
    "conv3d_depthwise": (
        "conv3d",
        {"channels": [4], "separable": "depthwise", "window": "space_time", "squeeze": 2, "norm": "frame_rms"},
    ),
    "conv3d_split": (
        "conv3d",
        {"channels": [3, 2], "activation": "split_relu", "pool": "max", "norm": "frame_response"},
    ),
    "resnet3d_pooled": (
        "resnet3d",
        {"channels": [3, 3], "pool": "learned", "activation": "split_relu", "weight_norm": "unit", "squeeze": 2},
    ),
    "resnet3d_open": ("resnet3d", {"channels": [2], "activate_sum": False, "norm": "frame_instance"}),
    "densenet3d": ("densenet3d", {"channels": [3, 2], "kernel_size": [2, 3, 3], "pool": "average", "dropout": 0.2}),
    "densenet3d_split": ("densenet3d", {"channels": [2], "activation": "split_relu", "norm": "none"}),
    "temporal_bands": ("learnable_temporal", {"kernel_size": 5, "num_channels": 3, "bands": 1.0, "bias": True}),
    "conv3d_attention": ("conv3d", {"channels": [3], "pool": "attention", "activation": "bsoftplus"}),
    "conv3d_adaptive": ("conv3d", {"channels": [3, 3], "pool": "adaptive_average", "pool_to": [3, 2]}),
    "conv3d_ordered": (
        "conv3d",
        {
            "channels": [3, 2],
            "order": ["pool", "norm", "activation", "convolution", "dropout"],
            "activation": "split_relu",
            "activation_gain": True,
            "pool": "average",
        },
    ),
    "resnet3d_preactivated": (
        "resnet3d",
        {
            "channels": [3, 4],
            "order": ["norm", "activation", "convolution", "dropout", "pool"],
            "activate_sum": False,
            "stride": [2, 1],
            "pool": "adaptive_max",
            "pool_to": [2, 2],
        },
    ),
    "densenet3d_ordered": (
        "densenet3d",
        {"channels": [2, 2], "order": ["norm", "activation", "dropout", "convolution", "pool"], "pool": "attention"},
    ),
    "gru_per_prediction": ("gru", {"hidden_channels": 3, "burn_in": 4, "unroll": "per_prediction", "num_layers": 2}),
    "lstm_per_prediction": ("lstm", {"hidden_channels": 3, "burn_in": 4, "unroll": "per_prediction", "over": "frame"}),
    "visioncore": (
        "visioncore",
        {
            "num_lags": 4,
            "steps": "all",
            "layers": [{"channels": 2, "kernel_size": [2, 3, 3], "norm": "window_instance", "activation": "softplus"}],
        },
    ),
    "conv_gru_per_prediction": ("conv_gru", {"hidden_channels": 3, "burn_in": 4, "unroll": "per_prediction"}),
}
ALL = BOUNDED | {
    name: (name, {"hidden_channels": 3, "burn_in": 4, **options})
    for name, options in {"conv_gru": {}, "gru": {"over": "frame"}, "lstm": {"num_layers": 2}}.items()
}


def build(case, shape=SHAPE):
    torch.manual_seed(1)
    name, options = ALL[case]
    return stage(name, shape, **options).double().eval()


def frames(num_windows, num_frames, shape=SHAPE, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(num_windows, shape[0], num_frames, *shape[1:], generator=draw, dtype=torch.float64)


def test_a20_every_declared_stage_stands_in_the_tests_of_causality():
    assert {name for name, _ in ALL.values()} == {component.name for component in COMPONENTS["stage"]}


@pytest.mark.parametrize("case", ALL)
def test_a20_influence_by_lag_falls_on_a_frame_and_its_history_and_nowhere_else(case):
    module = build(case)
    later = 3  # frames behind the predicted one
    shares = influence_of(lambda x: module(x)[:, :, -1 - later : -later], frames(2, module.history + 2 + later))
    assert shares.sum() == pytest.approx(1.0)
    lag = np.arange(len(shares)) - later
    assert np.all(shares[lag < 0] == 0)
    assert shares[lag == 0] > 0
    if module.burn_in == 0:
        assert np.all(shares[lag > module.history] == 0)


@pytest.mark.parametrize("case", ALL)
@pytest.mark.parametrize("num_windows", [1, 3])
def test_output_has_the_declared_shape_and_loses_history_frames(case, num_windows):
    module = build(case)
    output = module(frames(num_windows, module.history + 3))
    assert output.shape == (num_windows, module.out_shape[0], 3, *module.out_shape[1:])


@pytest.mark.parametrize("case", ALL)
def test_a20_newest_first_time_axis_is_impossible_every_frame_sees_its_past_and_only_its_past(case):
    module = build(case)
    inputs = frames(1, module.history + 6).requires_grad_()
    output = module(inputs)
    for frame in range(output.shape[2]):
        seen = torch.autograd.grad(output[:, :, frame].square().sum(), inputs, retain_graph=True)[0]
        energy = seen.abs().sum(dim=(0, 1, 3, 4))
        newest = frame + module.history
        assert torch.all(energy[newest + 1 :] == 0), "sees the future"
        assert energy[newest] > 0, "does not see its own frame"
        if module.burn_in == 0:
            assert torch.all(energy[: newest - module.history] == 0), "sees more than its history"
            assert energy[newest - module.history] > 0 or "prediction" in case, "declares more history than it uses"


@pytest.mark.parametrize("case", BOUNDED)
def test_windows_of_any_length_give_the_same_frames(case):
    module = build(case)
    clip = frames(2, module.history + 7)
    whole = module(clip)
    for frame in range(7):
        alone = module(clip[:, :, frame : frame + module.history + 1])
        torch.testing.assert_close(alone, whole[:, :, frame : frame + 1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", [case for case in ALL if "batch" not in case])
def test_a_window_does_not_depend_on_the_others_of_its_batch(case):
    module = build(case).train()
    for dropout in (layer for layer in module.modules() if isinstance(layer, nn.Dropout)):
        dropout.p = 0.0
    clips = frames(3, module.history + 4)
    torch.testing.assert_close(module(clips)[1:2], module(clips[1:2]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", ALL)
def test_every_parameter_gets_a_gradient(case):
    module = build(case)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))  # off a start at which a layer does nothing yet
    module(frames(2, module.history + 3).requires_grad_()).square().sum().backward()
    assert [name for name, p in module.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("case", ALL)
def test_memory_layout_changes_nothing(case):
    module = build(case)
    clip = frames(2, module.history + 3)
    torch.testing.assert_close(
        module(clip), module(clip.contiguous(memory_format=torch.channels_last_3d)), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("shape", [(2, 1, 1), (1, 1, 7)], ids=["no space", "one-dimensional space"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("learnable_temporal", {}),
        ("conv3d", {"channels": [4], "kernel_size": [3, 1, 1]}),
        ("resnet3d", {"channels": [4], "kernel_size": [3, 1, 1]}),
        ("conv_gru", {"hidden_channels": 3, "burn_in": 2}),
        ("temporal_basis", {}),
        ("dynamical_adaptation", {}),
        ("densenet3d", {"channels": [4], "kernel_size": [3, 1, 1], "pool": "blur"}),
        ("conv3d", {"channels": [4], "kernel_size": [3, 1, 1], "separable": "space_time", "pool": "max"}),
        ("gru", {"burn_in": 2}),
        ("lstm", {"burn_in": 2, "over": "frame"}),
    ],
)
def test_stages_take_data_with_little_or_no_space(name, options, shape):
    module = stage(name, shape, **options)
    output = module(torch.randn(1, shape[0], module.history + 2, *shape[1:]))
    assert output.shape == (1, module.out_shape[0], 2, *module.out_shape[1:])


@pytest.mark.parametrize("case", ALL)
def test_stages_run_under_autocast(case):
    module = build(case).float()
    clip = frames(2, module.history + 3).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = module(clip)
    error = (output.float() - module(clip)).abs().max()
    assert 0 <= error < 0.2


@pytest.mark.parametrize("case", ALL)
def test_a_saved_stage_is_the_stage(case):
    module, other = build(case), build(case)
    for parameter in other.parameters():
        nn.init.normal_(parameter)
    other.load_state_dict(module.state_dict(), strict=True)
    clip = frames(1, module.history + 2)
    assert torch.equal(other(clip), module(clip))


# -- learnable_temporal


def test_learnable_temporal_is_a_correlation_of_each_pixel_with_the_kernel():
    module = stage("learnable_temporal", SHAPE, kernel_size=4, num_channels=3, init="random", bias=True).double()
    nn.init.normal_(module.bias)
    clip = frames(2, 9)
    weight, x = module.weight.detach().numpy()[..., 0, 0], clip.numpy()
    expected = np.stack([np.einsum("ock,bckhw->bohw", weight, x[:, :, t : t + 4]) for t in range(6)], axis=2)
    expected += module.bias.detach().numpy()[:, None, None, None]
    np.testing.assert_allclose(module(clip).detach().numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("init", ["gaussian_derivatives", "biphasic", "identity"])
def test_a19_the_chosen_start_is_what_the_kernels_are(init):
    module = stage("learnable_temporal", (2, 1, 1), kernel_size=8, num_channels=6, init=init)
    expected = {"gaussian_derivatives": gaussian_derivatives, "biphasic": biphasic, "identity": identity}[init](
        3, 8, 0.01
    )
    weight = module.weight.detach().numpy()[..., 0, 0]
    for channel in range(6):
        np.testing.assert_allclose(weight[channel, channel % 2], expected[channel // 2], rtol=1e-6, atol=1e-7)
        assert np.all(weight[channel, 1 - channel % 2] == 0)
    assert np.linalg.matrix_rank(expected) == 3


def test_a19_random_kernels_differ_by_seed():
    torch.manual_seed(0)
    first = stage("learnable_temporal", SHAPE, init="random").weight
    second = stage("learnable_temporal", SHAPE, init="random").weight
    assert not torch.equal(first, second)


def test_identity_kernels_copy_single_frames_newest_first():
    module = stage("learnable_temporal", (1, 2, 2), kernel_size=4, num_channels=3, init="identity").double()
    clip = frames(1, 6, (1, 2, 2))
    for lag in range(3):
        assert torch.equal(module(clip)[:, lag], clip[:, 0, 3 - lag : 6 - lag])


def test_a27_biphasic_is_measured_in_milliseconds():
    coarse, fine = biphasic(2, 20, 0.01)[:, ::-1], biphasic(2, 80, 0.0025)[:, ::-1]
    for i, peak in enumerate((0.03, 0.08)):
        assert abs((np.argmax(coarse[i]) + 0.5) * 0.01 - peak) <= 0.01
        assert abs((np.argmax(fine[i]) + 0.5) * 0.0025 - peak) <= 0.01
        assert fine[i].min() < -0.01, "no second phase"


def test_biphasic_without_a_frame_duration_is_refused():
    with pytest.raises(ConfigError, match=r"init: 'biphasic' is measured in seconds"):
        stage("learnable_temporal", SHAPE, dt=None, init="biphasic")


def test_identity_with_more_kernels_than_frames_is_refused():
    with pytest.raises(ConfigError, match="no more than one filter per frame"):
        stage("learnable_temporal", (1, 2, 2), kernel_size=3, num_channels=4, init="identity")


def test_gaussian_derivatives_are_alternately_even_and_odd():
    kernels = gaussian_derivatives(4, 15, None)
    np.testing.assert_allclose(np.linalg.norm(kernels, axis=1), 1)
    for order, kernel in enumerate(kernels):
        np.testing.assert_allclose(kernel[::-1], (-1) ** order * kernel, atol=1e-12)


# -- convolutions


def naive_convolution(x, weight, bias, stride):
    num_windows, _, num_frames, height, width = x.shape
    out, _, kt, kh, kw = weight.shape
    x = np.pad(x, ((0, 0), (0, 0), (0, 0), (kh // 2, kh // 2), (kw // 2, kw // 2)))
    rows, columns = range(0, height, stride), range(0, width, stride)
    y = np.zeros((num_windows, out, num_frames - kt + 1, len(rows), len(columns)))
    for t in range(y.shape[2]):
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                patch = x[:, :, t : t + kt, row : row + kh, column : column + kw]
                y[:, :, t, i, j] = np.einsum("bcthw,octhw->bo", patch, weight)
    return y if bias is None else y + bias[:, None, None, None]


def naive_frame_norm(x, num_groups, weight, bias):
    y = np.empty_like(x)
    size = x.shape[1] // num_groups
    for window, frame, g in np.ndindex(x.shape[0], x.shape[2], num_groups):
        part = x[window, g * size : (g + 1) * size, frame]
        y[window, g * size : (g + 1) * size, frame] = (part - part.mean()) / np.sqrt(part.var() + 1e-5)
    return y * weight[:, None, None, None] + bias[:, None, None, None]


def numpy_of(module):
    return {name: value.detach().numpy() for name, value in module.named_parameters()}


def test_conv3d_equals_its_formula():
    torch.manual_seed(0)
    module = stage("conv3d", SHAPE, channels=[4], kernel_size=[2, 3, 1], stride=2, norm="frame_group", num_groups=2)
    module = module.double()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    weights, clip = numpy_of(module), frames(2, 4)
    expected = naive_convolution(clip.numpy(), weights["layers.0.weight"], None, 2)
    expected = naive_frame_norm(expected, 2, weights["layers.1.weight"], weights["layers.1.bias"])
    expected = np.where(expected > 0, expected, np.expm1(expected))
    np.testing.assert_allclose(module(clip).detach().numpy(), expected, rtol=1e-10, atol=1e-10)


def test_resnet3d_equals_its_formula():
    torch.manual_seed(0)
    module = stage("resnet3d", SHAPE, channels=[3], kernel_size=[2, 3, 3], norm="none", activation="relu").double()
    weights, clip = numpy_of(module), frames(2, 5)
    x = clip.numpy()
    main = naive_convolution(x, weights["blocks.0.main.0.weight"], weights["blocks.0.main.0.bias"], 1).clip(min=0)
    main = naive_convolution(main, weights["blocks.0.main.4.weight"], weights["blocks.0.main.4.bias"], 1)
    shortcut = naive_convolution(x[:, :, 2:], weights["blocks.0.shortcut.weight"], weights["blocks.0.shortcut.bias"], 1)
    expected = (main + shortcut).clip(min=0)
    np.testing.assert_allclose(module(clip).detach().numpy(), expected, rtol=1e-10, atol=1e-10)


def test_frame_norm_of_a_uniform_frame_is_finite():
    module = FrameNorm(1, 3).double()
    inputs = torch.zeros(1, 3, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    output = module(inputs)
    output.sum().backward()
    assert torch.all(output == 0)
    assert torch.isfinite(inputs.grad).all()


def test_statistics_over_the_batch_and_dropout_are_said_aloud():
    flags = [
        (module.batch_statistics, module.stochastic)
        for module in (
            stage("conv3d", SHAPE, channels=[2]),
            stage("conv3d", SHAPE, channels=[2], norm="batch"),
            stage("resnet3d", SHAPE, channels=[2], dropout=0.1),
        )
    ]
    assert flags == [(False, False), (True, False), (False, True)]


@pytest.mark.parametrize("name", ["conv3d", "resnet3d"])
def test_a_kernel_that_can_never_touch_a_pixel_is_refused(name):
    with pytest.raises(ConfigError, match=r"kernel_size: part of a 3 x 3 kernel could never touch features of 1 x 6"):
        stage(name, (1, 1, 6), channels=[2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": [2], "kernel_size": [3, 2, 3]}, "must be odd"),
        ({"channels": [2, 2], "kernel_size": [[3, 3, 3]]}, "1 entries for 2 layers"),
        ({"channels": [2, 2], "stride": [2]}, "1 entries for 2 layers"),
        ({"channels": [2], "num_groups": 2}, "needed by norm 'frame_group', and only by it"),
        ({"channels": [2], "norm": "frame_group"}, "needed by norm 'frame_group', and only by it"),
        ({"channels": [4, 3], "norm": "frame_group", "num_groups": 2}, "multiple of `num_groups`"),
        ({"channels": []}, "at least 1 item"),
        ({"channels": [0]}, "greater than or equal to 1"),
        ({"channels": [2], "padding": 1}, "Extra inputs"),
    ],
)
def test_impossible_convolutions_are_refused_before_anything_is_built(options, message):
    with pytest.raises(ValidationError, match=message):
        Conv3dOptions.model_validate_json(json.dumps(options))


# -- conv_gru


def test_conv_gru_equals_its_formula():
    torch.manual_seed(0)
    module = stage("conv_gru", SHAPE, hidden_channels=3, kernel_size=3, burn_in=2).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    clip, weights = frames(2, 5), numpy_of(module)
    driven = naive_convolution(clip.numpy(), weights["inputs.weight"], weights["inputs.bias"], 1)
    state = np.zeros((2, 3, 5, 6))

    def convolve(values, weight):
        return naive_convolution(values[:, :, None], weight[:, :, None], None, 1)[:, :, 0]

    def sigmoid(values):
        return 1 / (1 + np.exp(-values))

    output = module(clip).detach().numpy()
    for t in range(5):
        gates = sigmoid(driven[:, :6, t] + convolve(state, weights["gates.weight"]))
        reset, update = gates[:, :3], gates[:, 3:]
        candidate = np.tanh(driven[:, 6:, t] + convolve(reset * state, weights["candidate.weight"]))
        state = (1 - update) * candidate + update * state
        np.testing.assert_allclose(output[:, :, t], state, rtol=1e-10, atol=1e-10)


def test_conv_gru_starts_orthogonal_and_inclined_to_remember():
    module = stage("conv_gru", SHAPE, hidden_channels=4)
    for weight in (*module.gates.weight.split(4), module.candidate.weight):
        rows = weight.detach().flatten(1)
        torch.testing.assert_close(rows @ rows.T, torch.eye(4), atol=1e-5, rtol=0)
    assert module.inputs.bias.detach().tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 4


def test_conv_gru_per_prediction_is_the_stream_started_anew_for_every_frame():
    restarting, streaming = build("conv_gru_per_prediction"), build("conv_gru")
    streaming.load_state_dict(restarting.state_dict())
    clip = frames(2, 8)
    expected = [streaming(clip[:, :, t : t + 5])[:, :, -1] for t in range(4)]
    torch.testing.assert_close(restarting(clip), torch.stack(expected, dim=2), rtol=1e-12, atol=1e-12)
    assert (restarting.history, restarting.burn_in) == (4, 0)
    assert (streaming.history, streaming.burn_in) == (0, 4)


def test_a22_all_weights_exist_before_the_first_call():
    for case in ALL:
        module = build(case)
        before = {name: value.shape for name, value in module.state_dict().items()}
        module(frames(1, module.history + 1))
        assert {name: value.shape for name, value in module.state_dict().items()} == before


def test_conv_gru_refuses_an_even_kernel():
    with pytest.raises(ValidationError, match="must be odd"):
        ConvGRUOptions(kernel_size=4)
