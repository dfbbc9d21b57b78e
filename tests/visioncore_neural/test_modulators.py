"""Modulators: features changed by side inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from neural_models import choice
from pydantic import ValidationError
from torch import nn

from visioncore_engine import choose
from visioncore_engine.contracts import ModulatorFacts
from visioncore_engine.errors import ConfigError
from visioncore_neural._model_components import COMPONENTS
from visioncore_neural.options.modulator import ChainOptions, FilmOptions

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


# -- gain


def test_the_peers_gain_that_never_suppresses_is_impossible_gain_is_bounded_both_ways():
    features, side = inputs()
    gain = build("gain", max_gain=5.0)
    assert torch.equal(gain(features, side), features)
    assert gain.identity_at_start
    for target in (0.25, 3.0):
        learner = build("gain", max_gain=5.0)
        optimizer = torch.optim.Adam(learner.parameters(), lr=0.05)
        for _ in range(80):
            optimizer.zero_grad()
            loss = (learner(features, side) - target * features).square().mean()
            loss.backward()
            optimizer.step()
        assert loss < 1e-2
    nn.init.normal_(gain.perceptron.output.weight, std=100.0)
    ratio = gain(features, side) / features
    assert ratio.min() >= 1 / 5.0 - 1e-9
    assert ratio.max() <= 5.0 + 1e-9


@pytest.mark.parametrize("per_channel", [True, False])
def test_gain_equals_its_formula(per_channel):
    gain = build("gain", hidden=[], per_channel=per_channel, max_gain=3.0)
    nn.init.normal_(gain.perceptron.output.weight)
    nn.init.normal_(gain.perceptron.output.bias)
    features, side = inputs()
    weight, bias = (p.detach().numpy() for p in (gain.perceptron.output.weight, gain.perceptron.output.bias))
    scale = 3.0 ** np.tanh(side["behavior"].numpy() @ weight.T + bias)  # (B, T, C or 1)
    expected = features.numpy() * scale.transpose(0, 2, 1)[..., None, None]
    np.testing.assert_allclose(gain(features, side).detach().numpy(), expected, rtol=1e-10)
    assert scale.shape[2] == (3 if per_channel else 1)


# -- shifter

EYE = {"eyepos": 2}


def shifted_by(x, y, height=4, width=5):
    """Shifter that shifts every frame by (x, y) pixels."""
    shifter = build("shifter", side=EYE, max_shift=1.0)
    with torch.no_grad():
        fractions = torch.tensor([x * 2 / (width - 1), y * 2 / (height - 1)], dtype=torch.float64)
        shifter.perceptron.output.bias.copy_(torch.atanh(fractions))
    return shifter


def test_shifter_is_exactly_the_identity_at_the_start():
    features, side = inputs(sizes=EYE)
    assert torch.equal(build("shifter", side=EYE)(features, side), features)


def test_shifter_shifts_right_and_down_by_whole_pixels_and_continues_the_border():
    features, side = inputs(sizes=EYE)
    right, down = shifted_by(1, 0)(features, side), shifted_by(0, 1)(features, side)
    torch.testing.assert_close(right[..., :-1], features[..., 1:], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(right[..., -1], features[..., -1], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(down[..., :-1, :], features[..., 1:, :], rtol=1e-9, atol=1e-9)


def test_a21_shifter_interpolates_between_pixels_as_grid_sample_does():
    shifter = build("shifter", side=EYE)
    for parameter in shifter.parameters():
        nn.init.normal_(parameter, std=0.7)
    features, side = inputs(sizes=EYE)
    shift = shifter.shift(side)  # (B, T, 2) as (x, y)
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, n, dtype=torch.float64) for n in (4, 5)), indexing="ij")
    grid = torch.stack([x, y], dim=-1) + shift[:, :, None, None, :]
    expected = torch.stack(
        [
            nn.functional.grid_sample(features[:, :, t], grid[:, t], padding_mode="border", align_corners=True)
            for t in range(6)
        ],
        dim=2,
    )
    assert shift.abs().max() > 0.2
    torch.testing.assert_close(shifter(features, side), expected, rtol=1e-9, atol=1e-9)


def test_shifter_leaves_single_pixels_alone():
    flat = choice("modulator", "shifter").build(ModulatorFacts((3, 1, 7), EYE))
    assert flat.perceptron.output.out_features == 1
    assert flat(torch.randn(2, 3, 4, 1, 7), {"eyepos": torch.randn(2, 4, 2)}).shape == (2, 3, 4, 1, 7)
    with pytest.raises(ConfigError, match="features of a single pixel cannot be shifted"):
        choice("modulator", "shifter").build(ModulatorFacts((3, 1, 1), EYE))


# -- recurrent modulators


def wake(modulator):
    for parameter in modulator.parameters():
        nn.init.normal_(parameter, std=0.3)
    return modulator


@pytest.mark.parametrize("unroll", ["stream", "per_prediction"])
def test_conv_gru_modulator_is_the_stage_over_features_and_embedding(unroll):
    modulator = build("conv_gru", hidden_channels=4, burn_in=2, num_embedding=3, unroll=unroll)
    features, side = inputs()
    embedding = modulator.perceptron(side).expand(-1, -1, -1, 4, 5)
    expected = modulator.unit(torch.cat([features, embedding], dim=1))
    assert torch.equal(modulator(features, side), expected)
    assert modulator.out_shape == (4, 4, 5)
    assert (modulator.history, modulator.burn_in) == ((0, 2) if unroll == "stream" else (2, 0))


@pytest.mark.parametrize("output", ["error", "actual_and_error"])
def test_predictive_coding_is_actual_minus_predicted_and_its_loss_the_mean_square(output):
    modulator = wake(build("predictive_coding", hidden_channels=4, burn_in=2, output=output, weight=0.3))
    features, side = inputs()
    values, auxiliary = modulator(features, side)
    later = {"behavior": side["behavior"][:, 1:]}
    driven = torch.cat([features[:, :, :-1], modulator.perceptron(later).expand(-1, -1, -1, 4, 5)], dim=1)
    weight, bias = modulator.output.weight[:, :, 0, 0, 0], modulator.output.bias
    predicted = torch.einsum("oc,bcthw->bothw", weight, modulator.unit(driven)) + bias[:, None, None, None]
    error = features[:, :, 1:] - predicted
    expected = error if output == "error" else torch.cat([features[:, :, 1:], error], dim=1)
    torch.testing.assert_close(values, expected, rtol=1e-10, atol=1e-10)
    assert values.shape[1:] == (modulator.out_shape[0], 5, 4, 5)
    mean = error.square().mean(dim=(1, 3, 4))
    torch.testing.assert_close(auxiliary["prediction_error"].double(), mean, rtol=1e-5, atol=1e-6)
    assert modulator.auxiliary == {"prediction_error": 0.3}


@pytest.mark.parametrize("unroll", ["stream", "per_prediction"])
def test_a_prediction_sees_features_of_the_past_and_behavior_up_to_now(unroll):
    modulator = wake(build("predictive_coding", hidden_channels=4, burn_in=2, unroll=unroll))
    features, side = inputs()
    features.requires_grad_()
    side["behavior"].requires_grad_()
    predicted = modulator.predict(features, side)
    begin = modulator.history  # frame t of the prediction is frame begin + t of the features
    for frame in range(predicted.shape[2]):
        seen, felt = torch.autograd.grad(
            predicted[:, :, frame].square().sum(), [features, side["behavior"]], retain_graph=True
        )
        now = begin + frame
        first = now - begin if unroll == "per_prediction" else 0
        assert (seen.abs().sum(dim=(0, 1, 3, 4)) > 0).tolist() == [first <= t < now for t in range(6)]
        assert (felt.abs().sum(dim=(0, 2)) > 0).tolist() == [max(first, 0) < t <= now for t in range(6)]


def test_predictive_coding_learns_to_foretell():
    # features that alternate in sign are foretold by the frame before
    sign = torch.tensor([1.0, -1.0] * 5, dtype=torch.float64)[:, None, None]
    features = torch.randn(4, 3, 1, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * sign
    side = {"behavior": torch.zeros(4, 10, 2, dtype=torch.float64)}
    modulator = choice("modulator", "predictive_coding", hidden_channels=16, burn_in=2)
    modulator = modulator.build(ModulatorFacts((3, 1, 2), {"behavior": 2})).double()
    optimizer = torch.optim.Adam(modulator.parameters(), lr=0.02)
    losses = []
    for _ in range(120):
        optimizer.zero_grad()
        loss = modulator(features, side)[1]["prediction_error"][:, 2:].mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.15 * losses[0]


# -- chain


def chain(*parts, side=None):
    options = ChainOptions(parts=tuple(choice("modulator", name, **options) for name, options in parts))
    component = next(component for component in COMPONENTS["modulator"] if component.name == "chain")
    torch.manual_seed(0)
    facts = ModulatorFacts(SHAPE, side or {"behavior": 2, "eyepos": 2})
    return choose("modulator", component, options).build(facts).double()


def test_a_chain_is_its_parts_one_after_another_on_aligned_side_inputs():
    modulator = wake(
        chain(
            ("shifter", {}),
            ("predictive_coding", {"hidden_channels": 2, "burn_in": 1, "unroll": "per_prediction"}),
            ("concat", {"num_channels": 2}),
        )
    )
    assert (modulator.history, modulator.burn_in, modulator.out_shape) == (2, 0, (8, 4, 5))
    assert modulator.auxiliary == {"prediction_error": 0.1}
    features, side = inputs(sizes={"behavior": 2, "eyepos": 2})
    first, second, third = modulator.parts
    expected, own = second(first(features, side), side)
    expected = third(expected, {name: values[:, 2:] for name, values in side.items()})
    output, losses = modulator(features, side)
    torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(losses["prediction_error"], own["prediction_error"], rtol=1e-12, atol=1e-12)


def test_a_chain_starts_as_the_identity_where_all_of_its_parts_do():
    both = chain(("shifter", {}), ("film", {}))
    features, side = inputs(sizes={"behavior": 2, "eyepos": 2})
    assert torch.equal(both(features, side), features)
    assert both.identity_at_start
    assert not chain(("shifter", {}), ("concat", {})).identity_at_start


def test_two_losses_of_one_name_in_a_chain_are_refused_and_parts_name_their_place():
    with pytest.raises(
        ConfigError, match=r"parts.predictive_coding: two modulators of a chain have a loss of the same"
    ):
        chain(("predictive_coding", {}), ("predictive_coding", {}))
    with pytest.raises(ConfigError, match=r"parts.film.inputs: there is no such side input"):
        chain(("film", {"inputs": ["running"]}))


# -- all of them


@pytest.mark.parametrize("name", ["film", "concat", "gain", "conv_gru", "predictive_coding"])
def test_a22_modulators_have_all_their_weights_before_the_first_call(name):
    modulator = build(name)
    before = {key: value.shape for key, value in modulator.state_dict().items()}
    values_of(modulator, *inputs(num_frames=20))
    assert {key: value.shape for key, value in modulator.state_dict().items()} == before
    assert len(before) > 0


EVERY = {
    "film": {},
    "concat": {},
    "gain": {},
    "shifter": {"inputs": ["behavior"]},
    "conv_gru": {"hidden_channels": 3, "burn_in": 2},
    "conv_gru_anew": {"hidden_channels": 3, "burn_in": 2, "unroll": "per_prediction"},
    "predictive_coding": {"hidden_channels": 3, "burn_in": 2},
    "predictive_coding_anew": {"hidden_channels": 3, "burn_in": 2, "unroll": "per_prediction", "output": "error"},
}


def values_of(modulator, features, side):
    output = modulator(features, side)
    return output[0] if isinstance(output, tuple) else output


@pytest.mark.parametrize("case", EVERY)
def test_modulators_keep_their_word(case):
    modulator = wake(build(case.removesuffix("_anew"), **EVERY[case]))
    history = getattr(modulator, "history", 0)
    for num_windows in (1, 3):
        features, side = inputs(num_windows)
        output = values_of(modulator, features, side)
        assert output.shape == (num_windows, modulator.out_shape[0], 6 - history, *modulator.out_shape[1:])
    # windows do not see each other
    alone = values_of(modulator, features[1:2], {name: value[1:2] for name, value in side.items()})
    torch.testing.assert_close(alone, output[1:2], rtol=1e-10, atol=1e-12)
    # nor does a frame see the future, in features or side inputs
    features.requires_grad_()
    side["behavior"].requires_grad_()
    output = values_of(modulator, features, side)
    for frame in range(output.shape[2]):
        for given in (features, side["behavior"]):
            (seen,) = torch.autograd.grad(output[:, :, frame].square().sum(), given, retain_graph=True)
            energy = seen.movedim(2 if seen.ndim == 5 else 1, 0).flatten(1).abs().sum(dim=1)
            assert torch.all(energy[frame + history + 1 :] == 0)
            assert energy[frame + history] > 0
    # every parameter learns
    output.square().sum().backward()
    assert [name for name, p in modulator.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("case", EVERY)
def test_modulators_run_under_autocast(case):
    modulator = build(case.removesuffix("_anew"), **EVERY[case]).float()
    features, side = inputs()
    features, side = features.float(), {name: value.float() for name, value in side.items()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = values_of(modulator, features, side)
    torch.testing.assert_close(rough.float(), values_of(modulator, features, side), rtol=0.1, atol=0.1)


def test_a_modulator_of_nothing_is_refused():
    with pytest.raises(ValidationError, match="at least 1 item"):
        FilmOptions(inputs=())
