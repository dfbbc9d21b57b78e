"""Parts of VisionCore's models, each against its formula; and what in a model file is refused."""

from __future__ import annotations

import copy

import old_visioncore
import pytest
import torch
from neural_models import double, recording
from old_checkpoints import GRID, WHOLE

from visioncore_engine.contracts import AdapterFacts, ReadoutFacts
from visioncore_engine.errors import CheckpointError
from visioncore_neural.adapters.affine import Affine
from visioncore_neural.legacy.heads import adapter_weights, gaussian_weights
from visioncore_neural.legacy.kernels import Taken, applied_kernel
from visioncore_neural.legacy.model import OldModel
from visioncore_neural.options.adapter import AffineOptions
from visioncore_neural.options.readout import GaussianOptions
from visioncore_neural.readouts.gaussian import Gaussian
from visioncore_neural.stages.old_frontends import coarse_part


@pytest.mark.parametrize("transform", ["scale", "affine"])
@pytest.mark.parametrize("sigma", [-8.0, -2.0, 0.3, 2.5])  # before the softplus: none, two taps, many
@pytest.mark.parametrize("scale", [-0.5, 1.5])  # before the softplus: below 1 and above
def test_a21_the_blur_of_the_old_adapter_moves_by_a_pixel_here_too(transform, sigma, scale):
    options = AffineOptions(grid_size=GRID, transform=transform, compat="visioncore")
    facts = AdapterFacts((2, 12, 10), recording(shape=(2, 12, 10)))
    module = Affine(options, facts).double()
    weights = {
        "adapter.log_sigma": torch.tensor(sigma, dtype=torch.float64),
        "adapter.log_scale": torch.tensor([scale, 0.7], dtype=torch.float64),
        "adapter.affine": torch.tensor([[1.2, 0.3, 0.1], [-0.2, 0.9 + scale / 4, -0.3]], dtype=torch.float64),
    }
    model = OldModel.read({**WHOLE, "adapter": {"type": "adapter", "params": {"transform": transform}}}, "")
    module.load_state_dict(adapter_weights(model, Taken(weights, "")))
    windows = torch.randn(1, 2, 2, 12, 10, dtype=torch.float64)
    expected = old_visioncore.adapted(weights, {"transform": transform, "grid_size": GRID}, windows)
    torch.testing.assert_close(module(windows), expected)
    loss = module(windows).square().sum()
    loss.backward()
    learns = module.log_sigma.grad is not None and bool(module.log_sigma.grad)
    assert learns == (sigma > -8 or scale < 0)  # what never learned there can learn here, where there is a blur
    ours = Affine(AffineOptions(grid_size=GRID, transform=transform), facts).double()
    assert not torch.allclose(ours(windows), expected, atol=1e-3)


@pytest.mark.parametrize("windowed", [True, False])
@pytest.mark.parametrize("normed", [True, False])
@pytest.mark.parametrize("size", [4, 6, 7])  # no window; one whose largest value is below 1; one that reaches 1
def test_a_kernel_is_the_one_that_was_applied_under_weight_norm_and_window(windowed, normed, size):
    shape = (3, 2, size, 5, 1)
    draw = lambda *sizes: torch.randn(sizes, dtype=torch.float64)
    weights = {f"c.parametrizations.weight.{name}": draw(*shape) for name in ("original", "0.v")}
    weights["c.parametrizations.weight.0.g"] = draw(3)
    weights["c.weight"] = draw(*shape)
    kept = {name: value for name, value in weights.items() if normed or ".0." not in name}
    params = {"use_weight_norm": normed, "aa_signal": windowed, "aa_window_kwargs": {"power": 0.5}}
    expected = old_visioncore.kernel(weights, "c", params)
    torch.testing.assert_close(applied_kernel(Taken(kept, ""), "c", 0.5 if windowed else None), expected)


def test_a_window_that_has_left_the_frame_reads_as_little_as_it_did():
    weights = {
        "readout.features.weight": torch.randn(3, 4, 1, 1, dtype=torch.float64),
        "readout.bias": torch.randn(3, dtype=torch.float64),
        "readout.mean": torch.tensor([[0.5, -1.0], [9.0, 0.2], [-4.0, 8.8]], dtype=torch.float64),
        "readout.std": torch.tensor([[2.0, 0.8], [1.0, 1.1], [0.9, 1.0]], dtype=torch.float64),
        "readout.theta": torch.tensor([0.7, -0.2, 0.4], dtype=torch.float64),
    }
    features = torch.randn(2, 4, 7, 7, dtype=torch.float64)
    expected = old_visioncore.read_out(weights, "gaussian", features)
    options, group = GaussianOptions(rotate=True), recording(num_units=3)
    module = Gaussian(options, ReadoutFacts((4, 7, 7), group, group.targets["robs"])).double()
    module.load_state_dict(gaussian_weights(Taken(weights, ""), options, (7, 7), None))
    torch.testing.assert_close(module(features.unsqueeze(2))[:, 0], expected)
    kept = (module.features / weights["readout.features.weight"][:, :, 0, 0])[:, 0]
    assert kept[0] > 0.999  # and what left the frame kept only a part:
    assert (kept[1:] < 0.9).all()


def changed(path, value):
    config = copy.deepcopy(WHOLE)
    inner = config
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return config


REST = "convnet", "params", "stem_config"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        pytest.param(("recurrent",), {"type": "gru"}, "never trained", id="a22_gru"),
        pytest.param(("recurrent",), {"type": "lstm"}, "never trained", id="a22_lstm"),
        (("recurrent",), {"type": "convgru", "params": {"n_layers": 2}}, "n_layers"),
        (("frontend", "params", "aa_window"), "kaiser", "only 'hann'"),
        (("frontend",), {"type": "temporal_basis"}, "'temporal_basis' is none of"),
        (("frontend",), {"type": "da", "params": {"learnable_params": True}}, "in no file"),
        (("convnet", "type"), "vivit", "'vivit' is none of"),
        (("convnet", "params", "final_activation"), "relu", "behind the last layer"),
        ((*REST, "norm_type"), "zca", "is no norm here"),
        ((*REST, "norm_type"), "rms", "channels of a pixel"),
        ((*REST, "act_type"), "mish", "no nonlinearity like 'mish'"),
        ((*REST, "act_params"), {"split_dim": 2}, "act_params.split_dim"),
        ((*REST, "pool_params"), {"type": "locatt", "kernel_size": 2}, "no pooling like 'locatt'"),
        ((*REST, "order"), ["norm", "conv", "act"], "only convolution, norm, nonlinearity"),
        ((*REST, "conv_params", "type"), "depthwise", "only 'standard'"),
        (("convnet", "params", "block_configs", 0, "causal"), False, "both sides"),
        (("modulator",), {"type": "stn"}, "'stn' is none of"),
        (("output_activation",), "none", "added to the logarithm"),
    ],
)
def test_what_cannot_be_exact_is_refused_by_its_key(path, value, message):
    OldModel.read(WHOLE, "old.ckpt")
    config = changed(path, value)
    if value == "rms":
        config["convnet"]["params"]["stem_config"]["norm_params"] = {"target_dim": [1, 2]}
    if path[-1] in ("order", "pool_params"):
        config["convnet"]["params"]["stem_config"].setdefault("order", [])
    if path[-1] == "pool_params":
        config["convnet"]["params"]["stem_config"]["order"] = ["pad", "conv", "norm", "act", "pool"]
    with pytest.raises(CheckpointError, match=message) as caught:
        OldModel.read(config, "old.ckpt")
    assert path[0] in str(caught.value)


def test_two_recurrent_units_are_refused():
    unit = {"type": "convgru", "params": {"hidden_dim": 3}}
    with pytest.raises(CheckpointError, match="one recurrent unit"):
        OldModel.read({**WHOLE, "modulator": unit, "recurrent": unit}, "old.ckpt")


@pytest.mark.parametrize("size", [3, 4, 9, 12])
def test_a_level_of_the_pyramid_is_one_matrix_per_axis(size):
    frames = torch.randn(2, 1, 3, size, size + 1, dtype=torch.float64)
    with double():
        rows, columns = coarse_part(size), coarse_part(size + 1)
    coarse = rows @ frames @ columns.T
    torch.testing.assert_close(torch.cat([frames - coarse, coarse], dim=1), old_visioncore.split(frames))
    torch.testing.assert_close(rows.sum(dim=1), torch.ones(size, dtype=torch.float64))  # a uniform picture is coarse
