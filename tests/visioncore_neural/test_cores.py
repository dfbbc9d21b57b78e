"""What convolutional cores can be made of: kernels, norms, nonlinearities, gates, pooling, dense layers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from neural_models import double, stage
from pydantic import ValidationError
from torch import nn

from visioncore_engine.errors import ConfigError
from visioncore_neural.options.stage import PARTS, Conv3dOptions, Densenet3dOptions, Resnet3dOptions
from visioncore_neural.stages.layers import Convolution, SplitReLU
from visioncore_neural.stages.norms import FrameNorm, FrameRMSNorm, ResponseNorm
from visioncore_neural.stages.pooling import AttentionPool, Squeeze, WindowPool

SHAPE = (4, 5, 6)
PLAIN = {"norm": "none", "activation": "identity"}


def build(name="conv3d", shape=SHAPE, **options):
    torch.manual_seed(0)
    with double():
        return stage(name, shape, **options).eval()


def frames(num_windows=2, num_frames=4, shape=SHAPE):
    draw = torch.Generator().manual_seed(0)
    return torch.randn(num_windows, shape[0], num_frames, *shape[1:], generator=draw, dtype=torch.float64)


def scatter(module):
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module.double()


# -- kernels


def test_separable_kernels_are_the_whole_kernel_of_their_product():
    options = {"channels": [3], "kernel_size": [2, 3, 3], **PLAIN}
    parts = build(separable="space_time", **options).layers[0]
    whole = build(**options)
    space, time = parts[0].kernel(), parts[1].kernel()
    with torch.no_grad():
        whole.layers[0].weight.copy_(torch.einsum("ochw,pot->pcthw", space[:, :, 0], time[..., 0, 0]))
    torch.testing.assert_close(parts(frames()), whole(frames()), rtol=1e-10, atol=1e-10)
    deep = build(separable="depthwise", **options).layers[0]
    with torch.no_grad():
        whole.layers[0].weight.copy_(
            torch.einsum("cthw,oc->octhw", deep[0].kernel()[:, 0], deep[1].kernel()[..., 0, 0, 0])
        )
    torch.testing.assert_close(deep(frames()), whole(frames()), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("separable", "expected"), [("space_time", 4 * 8 * 9 + 8 * 8 * 3), ("depthwise", 4 * 27 + 4 * 8)]
)
def test_separable_kernels_have_fewer_weights(separable, expected):
    module = build(channels=[8], kernel_size=[3, 3, 3], separable=separable)
    norm = 2 * 8
    assert sum(p.numel() for p in module.parameters()) == expected + norm < 4 * 8 * 27


def test_a_flat_kernel_has_nothing_to_separate():
    module = build(channels=[2], kernel_size=[3, 1, 1], separable="space_time")
    assert isinstance(module.layers[0], Convolution)


@pytest.mark.parametrize(("window", "axes"), [("time", (2,)), ("space", (3, 4)), ("space_time", (2, 3, 4))])
def test_windows_fall_off_along_their_axes_only(window, axes):
    layer = build(channels=[2], kernel_size=[5, 5, 5], window=window).layers[0]
    with torch.no_grad():
        layer.weight.fill_(1.0)
    kernel = layer.kernel()
    for axis in (2, 3, 4):
        line = kernel.movedim(axis, -1)[0, 0, 2, 2]
        assert (line[0] < 0.6 * line[2]) == (axis in axes)
    assert kernel.square().mean().item() == pytest.approx(1.0)


def test_a_wide_window_is_what_its_power_says():
    narrow, wide = (build(channels=[2], window="space", window_power=power).layers[0] for power in (3.0, 0.5))
    for layer in (narrow, wide):
        nn.init.ones_(layer.weight)
    assert narrow.kernel()[0, 0, 0, 0, 0] < wide.kernel()[0, 0, 0, 0, 0] < 1


@pytest.mark.parametrize("separable", ["none", "space_time", "depthwise"])
def test_c2_weight_norm_leaves_no_dead_weight(separable):
    options = {"channels": [3], "separable": separable, "window": "space", "norm": "none"}
    with_gain, unit = (build(weight_norm=kind, **options) for kind in ("gain", "unit"))
    plain = build(**options)
    torch.testing.assert_close(with_gain(frames()), plain(frames()), rtol=1e-10, atol=1e-10)  # the same start
    for module in (with_gain, unit):
        module(frames()).square().sum().backward()
        assert all(p.grad.abs().sum() > 0 for p in module.parameters())
    norms = [layer.kernel().flatten(1).norm(dim=1) for layer in unit.modules() if isinstance(layer, Convolution)]
    torch.testing.assert_close(torch.cat(norms), torch.ones(sum(map(len, norms)), dtype=torch.float64))


# -- norms


def test_root_mean_square_norm_equals_its_formula():
    norm, x = scatter(FrameRMSNorm(4)), frames()
    weight, bias = (p.detach().numpy()[:, None, None, None] for p in (norm.weight, norm.bias))
    y = x.numpy()
    expected = y / np.sqrt((y**2).mean(axis=(1, 3, 4), keepdims=True) + 1e-5) * weight + bias
    np.testing.assert_allclose(norm(x).detach().numpy(), expected, rtol=1e-12)


def test_response_norm_equals_its_formula_and_starts_as_the_identity():
    x = frames()
    assert torch.equal(ResponseNorm(4).double()(x), x)
    norm = scatter(ResponseNorm(4))
    weight, bias = (p.detach().numpy()[:, None, None, None] for p in (norm.weight, norm.bias))
    y = x.numpy()
    size = np.sqrt((y**2).sum(axis=(3, 4), keepdims=True))
    expected = y + weight * y * size / (size.mean(axis=1, keepdims=True) + 1e-6) + bias
    np.testing.assert_allclose(norm(x).detach().numpy(), expected, rtol=1e-9)
    dark = torch.zeros(1, 4, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    norm(dark).sum().backward()
    assert torch.isfinite(dark.grad).all()


def test_instance_norm_is_one_group_per_channel_and_refuses_a_single_pixel():
    module = build(channels=[3], norm="frame_instance", activation="identity")
    output = module(frames())
    torch.testing.assert_close(output.mean(dim=(3, 4)), torch.zeros(2, 3, 2, dtype=torch.float64), atol=1e-9, rtol=0)
    assert isinstance(module.layers[1], FrameNorm)
    with pytest.raises(ConfigError, match="norm: 'frame_instance' would set every channel of a single pixel to 0"):
        build(shape=(4, 1, 1), channels=[3], kernel_size=[3, 1, 1], norm="frame_instance")


# -- nonlinearities


def test_split_relu_keeps_both_signs():
    x = frames()
    split = SplitReLU()(x)
    assert split.shape[1] == 8
    assert torch.equal(split[:, :4] - split[:, 4:], x)
    assert split.min() == 0
    assert build(channels=[3, 5], activation="split_relu").out_shape == (10, 5, 6)
    assert build("resnet3d", channels=[3], activation="split_relu").out_shape == (6, 5, 6)
    assert build("resnet3d", channels=[3], activation="split_relu", activate_sum=False).out_shape == (3, 5, 6)
    assert build("densenet3d", channels=[3], activation="split_relu").out_shape == (4 + 6, 5, 6)


# -- pooling and gates


def naive_pool(x, factor, reduce):
    height, width = x.shape[3:]
    rows, columns = range(0, height, factor), range(0, width, factor)
    cells = [[reduce(x[..., i : i + factor, j : j + factor]) for j in columns] for i in rows]
    return np.stack([np.stack(row, axis=-1) for row in cells], axis=-2)


@pytest.mark.parametrize("factor", [2, 3, 9])
def test_pools_shrink_space_and_never_time(factor):
    x = frames()
    for kind, reduce in (("max", lambda cell: cell.max((-1, -2))), ("average", lambda cell: cell.mean((-1, -2)))):
        module = build(channels=[4], kernel_size=[1, 1, 1], pool=kind, pool_size=factor, **PLAIN)
        with torch.no_grad():
            module.layers[0].weight.copy_(torch.eye(4)[..., None, None, None])
        output = module(x).detach().numpy()
        assert output.shape[1:] == (4, 4, -(-5 // factor), -(-6 // factor)) == (4, 4, *module.out_shape[1:])
        np.testing.assert_allclose(output, naive_pool(x.numpy(), factor, reduce), rtol=1e-12)


@pytest.mark.parametrize("factor", [2, 3])
def test_blur_pooling_is_a_triangle_that_moves_nothing(factor):
    x = frames()
    taps = np.concatenate([np.arange(1, factor + 1), np.arange(factor - 1, 0, -1)]) / factor**2
    pool = WindowPool(4, factor, (5, 6), learned=False).double()
    expected = x.numpy()
    for axis in (3, 4):
        expected = np.apply_along_axis(
            lambda line: np.correlate(np.pad(line, factor - 1, mode="edge"), taps, "valid")[::factor], axis, expected
        )
    np.testing.assert_allclose(pool(x).numpy(), expected, rtol=1e-6, atol=1e-7)
    ramp = torch.arange(9, dtype=torch.float64).expand(1, 1, 1, 9, 9)
    middle = WindowPool(1, factor, (9, 9), learned=False).double()(ramp)[0, 0, 0, 2, 1:-1]
    torch.testing.assert_close(middle, ramp[0, 0, 0, 0, ::factor][1 : 1 + len(middle)], rtol=1e-6, atol=0)
    uniform = torch.full((1, 4, 1, 5, 6), 0.3, dtype=torch.float64)
    torch.testing.assert_close(pool(uniform), torch.full_like(pool(uniform), 0.3), rtol=1e-6, atol=0)


def test_a_learned_pool_starts_as_the_triangle_and_learns():
    learned = WindowPool(4, 2, (5, 6), learned=True).double()
    assert torch.equal(learned(frames()), WindowPool(4, 2, (5, 6), learned=False).double()(frames()))
    learned(frames()).square().sum().backward()
    assert (learned.weight.grad.abs() > 0).all()
    assert list(WindowPool(4, 2, (5, 6), learned=False).parameters()) == []


def test_squeeze_starts_as_the_identity_and_gates_each_frame_by_its_own_means():
    x = frames()
    assert torch.equal(Squeeze(4, 2).double()(x), x)
    gate = scatter(Squeeze(4, 2))
    means = x.numpy().mean((3, 4)).transpose(0, 2, 1)
    hidden = means @ gate.hidden.weight.detach().numpy().T + gate.hidden.bias.detach().numpy()
    hidden = np.where(hidden > 0, hidden, np.expm1(hidden))
    logits = hidden @ gate.output.weight.detach().numpy().T + gate.output.bias.detach().numpy()
    expected = x.numpy() * (2 / (1 + np.exp(-logits))).transpose(0, 2, 1)[..., None, None]
    np.testing.assert_allclose(gate(x).detach().numpy(), expected, rtol=1e-10)
    changed = x.clone()
    changed[:, :, 2] += 1
    difference = (gate(changed) - gate(x)).abs().sum(dim=(0, 1, 3, 4))
    assert (difference > 0).tolist() == [False, False, True, False]


# -- residual and dense layers


def test_a_residual_block_may_start_as_its_shortcut():
    module = build("resnet3d", channels=[4], kernel_size=[2, 3, 3], zero_start=True, activate_sum=False)
    x = frames(num_frames=5)
    assert torch.equal(module(x), x[:, :, 2:])
    assert not torch.equal(build("resnet3d", channels=[4], kernel_size=[2, 3, 3], activate_sum=False)(x), x[:, :, 2:])


def test_dense_layers_append_to_the_last_frames_of_what_they_saw():
    module = build("densenet3d", channels=[3, 2], kernel_size=[[2, 3, 3], [3, 1, 1]], pool="max", pool_size=[1, 2])
    x = frames(num_frames=6)
    first, second = module.layers
    seen = torch.cat([x[:, :, 1:], first.main(x)], dim=1)
    expected = nn.MaxPool3d((1, 2, 2), ceil_mode=True)(torch.cat([seen[:, :, 2:], second.main(seen)], dim=1))
    assert torch.equal(module(x), expected)
    assert (module.out_shape, module.history) == ((4 + 3 + 2, 3, 3), 3)


# -- options


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (Conv3dOptions, {"pool_size": 2}, "`pool_size` needs a `pool`"),
        (Conv3dOptions, {"pool": "max", "pool_size": [2, 2]}, "2 entries for 1 layers"),
        (Conv3dOptions, {"window_power": 2}, "`window_power` needs a `window`"),
        (Resnet3dOptions, {"zero_start": True, "norm": "none"}, "'none' has none"),
        (Densenet3dOptions, {"stride": 2}, "Extra inputs"),
        (Conv3dOptions, {"squeeze": 0}, "greater than or equal to 1"),
    ],
)
def test_impossible_layers_are_refused(model, options, message):
    with pytest.raises(ValidationError, match=message):
        model.model_validate_json(json.dumps({"channels": [2], **options}))


def test_options_filled_with_their_defaults_can_be_read_again():
    for model in (Conv3dOptions, Resnet3dOptions, Densenet3dOptions):
        options = model(channels=(2, 3))
        assert model.model_validate_json(options.model_dump_json()) == options


# -- local attention, adaptive pooling, learned nonlinearities, order


def test_local_attention_is_an_average_under_the_softmax_of_its_scores():
    pool = scatter(AttentionPool(4, 2, (5, 6)))
    clip = frames()
    found = pool(clip)
    score = torch.einsum("bcthw,c->bthw", clip, pool.score.weight[0, :, 0, 0, 0])
    assert found.shape == (2, 4, 4, 3, 3)
    for y in range(3):
        for x in range(3):
            rows, columns = slice(2 * y, min(2 * y + 2, 5)), slice(2 * x, 2 * x + 2)
            weight = score[..., rows, columns].flatten(2).softmax(-1)
            expected = (clip[..., rows, columns].flatten(3) * weight[:, None]).sum(-1)
            torch.testing.assert_close(found[..., y, x], expected, rtol=1e-10, atol=1e-10)


def test_local_attention_starts_as_the_average_and_survives_large_scores():
    clip = frames()
    torch.testing.assert_close(
        build(channels=[3], pool="attention", **PLAIN)(clip), build(channels=[3], pool="average", **PLAIN)(clip)
    )
    pool = AttentionPool(4, 3, (5, 6)).double()
    nn.init.constant_(pool.score.weight, 1e4)
    assert pool(clip).isfinite().all()


@pytest.mark.parametrize("kind", ["adaptive_max", "adaptive_average"])
def test_adaptive_pooling_reaches_a_size_and_enlarges_nothing(kind):
    module = build(channels=[3, 3], pool=kind, pool_to=[2, 9], **PLAIN)
    assert module.out_shape == (3, 2, 6)
    layer = build(channels=[3], pool=kind, pool_to=[1, 1], **PLAIN)
    convolved = layer.layers[0](frames()).flatten(3)
    expected = convolved.amax(3) if kind == "adaptive_max" else convolved.mean(3)
    torch.testing.assert_close(layer(frames())[..., 0, 0], expected)
    assert not any(isinstance(part, nn.AdaptiveAvgPool3d) for part in build(channels=[3], **PLAIN).modules())


def test_a_learned_softplus_and_a_gain_are_what_they_say_and_learn_per_channel():
    module = build(
        channels=[3], kernel_size=[1, 1, 1], norm="none", activation="bsoftplus", sharpness=2.5, activation_gain=True
    )
    drive = module.layers[0](frames())
    expected = torch.log1p(torch.exp(2.5 * drive)) / 2.5
    torch.testing.assert_close(module(frames()), expected, rtol=1e-6, atol=1e-6)
    softplus, gain = module.layers[2]
    with torch.no_grad():
        gain.weight.copy_(torch.tensor([1.0, -2.0, 0.5]))
        softplus.log_sharpness.copy_(torch.tensor([0.0, 1.0, -1.0]))
    found = module(frames())
    for channel, (factor, sharpness) in enumerate([(1.0, 1.0), (-2.0, np.e), (0.5, 1 / np.e)]):
        expected = factor * torch.log1p(torch.exp(sharpness * drive[:, channel])) / sharpness
        torch.testing.assert_close(found[:, channel], expected, rtol=1e-6, atol=1e-6)


def test_parts_come_in_the_order_that_was_said():
    order = ["pool", "activation", "convolution", "norm", "dropout"]
    module = build(channels=[3], kernel_size=[2, 3, 3], activation="split_relu", pool="average", order=order)
    pool, split, convolution, norm, dropout = module.layers
    assert isinstance(split, SplitReLU)
    assert isinstance(dropout, nn.Dropout)
    assert convolution.in_channels == 8
    assert convolution.bias is None  # the norm behind it has one
    assert module.out_shape == (3, 3, 3)
    torch.testing.assert_close(module(frames()), norm(convolution(split(pool(frames())))))
    before = build(channels=[3], order=["norm", "convolution", "activation", "dropout", "pool"])
    assert before.layers[1].bias is not None


def test_a_preactivated_block_adds_what_two_preactivated_convolutions_make():
    order = ["norm", "activation", "convolution", "dropout", "pool"]
    module = build("resnet3d", channels=[4], kernel_size=[2, 3, 3], order=order, activate_sum=False)
    (block,) = module.blocks
    kinds = [type(part).__name__ for part in block.main]
    assert kinds == ["FrameNorm", "ELU", "Convolution", "Dropout", "FrameNorm", "ELU", "Convolution"]
    torch.testing.assert_close(module(frames()), block.main(frames()) + frames()[:, :, 2:])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (Conv3dOptions, {"order": ["norm", "convolution"]}, "`order` must name each of convolution, norm"),
        (Densenet3dOptions, {"order": ["pool", *PARTS[:-1]]}, "`order` must end with pool"),
        (Resnet3dOptions, {"order": ["pool", *PARTS[:-1]]}, "`order` must end with pool"),
        (Conv3dOptions, {"pool": "adaptive_max"}, "`pool_to` is needed by an adaptive `pool`"),
        (Conv3dOptions, {"pool": "max", "pool_to": [2, 2]}, "`pool_to` is needed by an adaptive `pool`"),
        (Conv3dOptions, {"pool": "adaptive_max", "pool_to": [2, 2], "pool_size": 2}, "`pool_size` needs a `pool`"),
        (Conv3dOptions, {"sharpness": 2.0}, "`sharpness` belongs to activation 'bsoftplus'"),
        (
            Resnet3dOptions,
            {"zero_start": True, "order": ["norm", "activation", "convolution", "dropout", "pool"]},
            "`zero_start` needs a norm behind the convolution",
        ),
    ],
)
def test_layers_that_contradict_themselves_are_refused(name, options, message):
    with pytest.raises(ValidationError, match=message):
        name.model_validate_json(json.dumps({"channels": [2], **options}))
