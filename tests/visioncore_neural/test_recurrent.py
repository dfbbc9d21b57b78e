"""GRU and LSTM: equal to their formulas, at every pixel or over frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from neural_models import double, stage
from torch import nn

SHAPE = (2, 3, 4)


def build(name, **options):
    torch.manual_seed(0)
    with double():
        return stage(name, SHAPE, hidden_channels=3, **options)


def clips(num_windows=2, num_frames=6):
    draw = torch.Generator().manual_seed(0)
    return torch.randn(num_windows, 2, num_frames, 3, 4, generator=draw, dtype=torch.float64)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru(x, weights):
    """x (M, T, C) -> (M, T, D)."""
    state, states = np.zeros((len(x), 3)), []
    for frame in x.swapaxes(0, 1):
        drive = frame @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]
        back = state @ weights["weight_hh_l0"].T + weights["bias_hh_l0"]
        reset, update = sigmoid(drive[:, :3] + back[:, :3]), sigmoid(drive[:, 3:6] + back[:, 3:6])
        state = (1 - update) * np.tanh(drive[:, 6:] + reset * back[:, 6:]) + update * state
        states.append(state)
    return np.stack(states, axis=1)


def lstm(x, weights):
    state, cell, states = np.zeros((len(x), 3)), np.zeros((len(x), 3)), []
    for frame in x.swapaxes(0, 1):
        drive = frame @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]
        drive = drive + state @ weights["weight_hh_l0"].T + weights["bias_hh_l0"]
        cell = sigmoid(drive[:, 3:6]) * cell + sigmoid(drive[:, :3]) * np.tanh(drive[:, 6:9])
        state = sigmoid(drive[:, 9:]) * np.tanh(cell)
        states.append(state)
    return np.stack(states, axis=1)


@pytest.mark.parametrize(("name", "reference"), [("gru", gru), ("lstm", lstm)])
@pytest.mark.parametrize("over", ["pixel", "frame"])
def test_recurrent_layers_equal_their_formula(name, reference, over):
    module = build(name, over=over)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    weights = {key: value.detach().numpy() for key, value in module.layers.named_parameters()}
    x = clips().numpy()
    if over == "pixel":
        expected = np.zeros((2, 3, 6, 3, 4))
        for row, column in np.ndindex(3, 4):
            expected[..., row, column] = reference(x[..., row, column].swapaxes(1, 2), weights).swapaxes(1, 2)
    else:
        flat = x.transpose(0, 2, 1, 3, 4).reshape(2, 6, 24)
        expected = reference(flat, weights).swapaxes(1, 2)[..., None, None]
    np.testing.assert_allclose(module(clips()).detach().numpy(), expected, rtol=1e-10, atol=1e-12)
    assert module.out_shape == expected.shape[1:2] + expected.shape[3:]


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_a22_weights_exist_when_it_is_built_and_all_of_them_learn(name):
    module = build(name, num_layers=2, over="frame")
    names = set(module.state_dict())
    assert len(names) == 8
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    module(clips()).square().sum().backward()
    optimizer.step()
    assert set(module.state_dict()) == names
    assert not any(torch.equal(before[key], value) for key, value in module.state_dict().items())


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_recurrent_layers_start_orthogonal_and_inclined_to_remember(name):
    module = build(name, num_layers=2)
    for layer in range(2):
        for part in getattr(module.layers, f"weight_hh_l{layer}").detach().split(3):
            torch.testing.assert_close(part @ part.T, torch.eye(3, dtype=torch.float64), atol=1e-9, rtol=0)
        bias = getattr(module.layers, f"bias_ih_l{layer}").tolist()
        assert bias == [0.0] * 3 + [1.0] * 3 + [0.0] * (len(bias) - 6)


@pytest.mark.parametrize("name", ["gru", "lstm"])
@pytest.mark.parametrize("over", ["pixel", "frame"])
def test_per_prediction_is_the_stream_started_anew_for_every_frame(name, over):
    restarting = build(name, burn_in=3, unroll="per_prediction", over=over)
    streaming = build(name, burn_in=3, over=over)
    streaming.load_state_dict(restarting.state_dict())
    clip = clips()
    expected = [streaming(clip[:, :, t : t + 4])[:, :, -1] for t in range(3)]
    torch.testing.assert_close(restarting(clip), torch.stack(expected, dim=2), rtol=1e-12, atol=1e-12)
    assert (restarting.history, restarting.burn_in) == (3, 0)
    assert (streaming.history, streaming.burn_in) == (0, 3)


def test_pixels_do_not_see_each_other():
    module = build("gru")
    clip = clips()
    changed = clip.clone()
    changed[..., 1, 2] += 1
    difference = (module(clip) - module(changed)).abs().sum(dim=(0, 1, 2))
    assert torch.nonzero(difference).tolist() == [[1, 2]]
