"""Modulators: features changed by side inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from neural_models import choice
from pydantic import ValidationError
from torch import nn

from visioncore_engine.contracts import ModulatorFacts
from visioncore_engine.errors import ConfigError
from visioncore_neural.options.modulator import FilmOptions

SHAPE = (3, 4, 5)


def build(name, side=None, **options):
    torch.manual_seed(0)
    return choice("modulator", name, **options).build(ModulatorFacts(SHAPE, side or {"behavior": 2})).double()


def inputs(num_windows=2, num_frames=6, sizes=None):
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(num_windows, 3, num_frames, 4, 5, generator=draw, dtype=torch.float64)
    sides = {
        name: torch.randn(num_windows, num_frames, size, generator=draw, dtype=torch.float64)
        for name, size in (sizes or {"behavior": 2}).items()
    }
    return features, sides


def test_a24_film_is_exactly_the_identity_at_the_start():
    features, side = inputs()
    film = build("film")
    assert torch.equal(film(features, side), features)
    assert film.identity_at_start


@pytest.mark.parametrize("hidden", [[], [8], [8, 4]])
def test_film_scales_and_shifts_each_channel_in_each_frame(hidden):
    film = build("film", hidden=hidden, activation="relu")
    for parameter in film.parameters():
        nn.init.normal_(parameter, std=0.5)
    features, side = inputs()
    values = side["behavior"].numpy()
    layers = [layer for layer in [*film.perceptron.hidden, film.perceptron.output] if isinstance(layer, nn.Linear)]
    for i, layer in enumerate(layers):
        values = values @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        values = values.clip(min=0) if i < len(layers) - 1 else values
    scale, shift = (part.transpose(0, 2, 1)[..., None, None] for part in (values[..., :3], values[..., 3:]))
    expected = features.numpy() * scale + shift
    np.testing.assert_allclose(film(features, side).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


def test_film_can_learn_to_suppress():
    # The peers' modulator ends in ELU + 1 after a ReLU: its gain never falls below 1.
    features, side = inputs(num_windows=8)
    film = build("film")
    optimizer = torch.optim.Adam(film.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss = (film(features, side) - 0.2 * features).square().mean()
        loss.backward()
        optimizer.step()
    assert loss < 1e-2


def test_concat_appends_the_same_embedding_to_every_pixel():
    concat = build("concat", num_channels=4)
    features, side = inputs()
    output = concat(features, side)
    assert concat.out_shape == (7, 4, 5)
    assert torch.equal(output[:, :3], features)
    embedding = output[:, 3:]
    assert torch.equal(embedding, embedding[..., :1, :1].expand_as(embedding))
    assert embedding.std(dim=2).min() > 0
    assert not concat.identity_at_start


@pytest.mark.parametrize("name", ["film", "concat"])
def test_several_side_inputs_are_concatenated_in_the_order_given(name):
    sizes = {"behavior": 2, "eyepos": 1}
    features, side = inputs(sizes=sizes)
    modulator = build(name, side=sizes, inputs=["eyepos", "behavior"])
    joined = build(name, side={"behavior": 3})
    nn.init.normal_(modulator.perceptron.output.weight)
    joined.load_state_dict(modulator.state_dict())
    both = {"behavior": torch.cat([side["eyepos"], side["behavior"]], dim=-1)}
    assert torch.equal(modulator(features, side), joined(features, both))


@pytest.mark.parametrize("name", ["film", "concat"])
def test_a_frame_is_changed_by_its_own_side_input_only(name):
    modulator = build(name)
    nn.init.normal_(modulator.perceptron.output.weight)
    features, side = inputs(1)
    changed = {"behavior": side["behavior"].clone()}
    changed["behavior"][:, 3] += 1
    difference = (modulator(features, side) - modulator(features, changed)).abs().sum(dim=(0, 1, 3, 4))
    assert (difference > 0).tolist() == [False, False, False, True, False, False]


@pytest.mark.parametrize("name", ["film", "concat"])
def test_a_side_input_that_is_not_there_is_the_users_mistake(name):
    with pytest.raises(
        ConfigError, match=r"inputs: there is no such side input; there are behavior .*'behaviour'.*did you"
    ):
        build(name, inputs=["behaviour"])


def test_a_modulator_of_nothing_is_refused():
    with pytest.raises(ValidationError, match="at least 1 item"):
        FilmOptions(inputs=())
