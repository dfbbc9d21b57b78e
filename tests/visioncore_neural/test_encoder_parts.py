"""Parts of the encoder that not every model has: modulators with a past, earlier responses, baselines, no stimulus."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from neural_models import batch, choice, encoder, recording
from pydantic import ValidationError
from torch import nn

from visioncore_engine.contracts import Batch, LossFacts
from visioncore_engine.errors import ConfigError, DataError
from visioncore_engine.objective import Objective, predict
from visioncore_neural.models.history import History
from visioncore_neural.models.rates import MIN_START_RATE
from visioncore_neural.options.model import EncoderOptions, HistoryOptions

SPECS = tuple(
    recording(name, size, side={"behavior": 2, "previous_responses": size}, mean=[0.3] * size)
    for name, size in (("m1_a", 3), ("m1_b", 2))
)


def wake(model):
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=draw, dtype=parameter.dtype), alpha=0.1)
    return model.eval()


def modulated(name, **options):
    return wake(encoder(SPECS, modulator=choice("modulator", name, hidden=[4], **options)))


def cut(group, frame, history):
    window = slice(frame, frame + history + 1)
    side = {name: values[:, window] for name, values in group.side.items()}
    return replace(group, inputs=group.inputs[:, :, window], side=side)


# -- modulators with a past

GRU = {"hidden_channels": 3, "burn_in": 3}


@pytest.mark.parametrize("name", ["conv_gru", "predictive_coding"])
@pytest.mark.parametrize("unroll", ["stream", "per_prediction"])
def test_the_past_of_a_modulator_is_history_and_its_burn_in_is_left_out(name, unroll):
    model = modulated(name, unroll=unroll, **GRU)
    assert model.history == 2 + 3 + (name == "predictive_coding")
    outputs = model(batch(model, SPECS, (2, 1), length=4))
    assert [output["robs"].shape for output in outputs] == [(2, 4, 3), (1, 4, 2)]


@pytest.mark.parametrize("name", ["conv_gru", "predictive_coding"])
def test_windows_of_length_one_and_one_long_window_give_the_same_predictions_and_own_losses(name):
    model = modulated(name, unroll="per_prediction", **GRU)
    clip = batch(model, SPECS, (2, 1), length=4)
    whole = model(clip)
    for frame in range(4):
        alone = model(Batch([cut(group, frame, model.history) for group in clip.groups]))
        for short, long in zip(alone, whole, strict=True):
            assert short.keys() == long.keys()
            for key, value in short.items():
                torch.testing.assert_close(value[:, -1:], long[key][:, -4:][:, frame : frame + 1], rtol=1e-6, atol=1e-9)


def test_a20_predictions_of_a_model_with_predictive_coding_see_no_later_frame():
    model = modulated("predictive_coding", unroll="per_prediction", **GRU)
    some = batch(model, SPECS[:1], (1,), length=3)
    some.groups[0].inputs.requires_grad_()
    side = some.groups[0].side["behavior"].requires_grad_()
    output = model(some)[0]
    for frame in range(3):
        for value in (output["robs"][:, frame], output["auxiliary/prediction_error"][:, frame]):
            seen, felt = torch.autograd.grad(value.sum(), [some.groups[0].inputs, side], retain_graph=True)
            now = frame + model.history
            assert torch.all(seen[:, :, now + 1 :] == 0)
            assert seen[:, :, now].abs().sum() > 0
            assert torch.all(felt[:, now + 1 :] == 0)
            assert felt[:, now].abs().sum() > 0


def test_the_loss_of_predictive_coding_is_added_with_its_weight_over_groups_and_cuts():
    model = modulated("predictive_coding", weight=0.25, **GRU)
    assert model.auxiliary == {"prediction_error": 0.25}
    some = batch(model, SPECS, (3, 2), length=4)
    some.groups[1].index = 1
    loss = choice("loss", "poisson").build(LossFacts(SPECS))
    ones = [{"robs": torch.ones(spec.targets["robs"].size)} for spec in SPECS]

    def gradient(objective, parts):
        model.zero_grad()
        weights = objective.weights(parts)
        total = 0.0
        for part in parts:
            value = objective.total(objective.sums(predict(model, part), part), weights)
            value.backward()
            total += value.item()
        return total, [p.grad.clone() for p in model.parameters()]

    with_own, gradients = gradient(Objective(loss, ones, model.auxiliary), [some])
    without, _ = gradient(Objective(loss, ones), [some])
    errors, counted = [], []
    for output, group in zip(predict(model, some), some.groups, strict=True):
        errors.append(output["auxiliary/prediction_error"].flatten())
        counted.append(group.mask.any(-1).flatten())
    expected = 0.25 * torch.cat(errors)[torch.cat(counted)].mean().item()
    assert with_own - without == pytest.approx(expected, rel=1e-6)
    apart, of_parts = gradient(Objective(loss, ones, model.auxiliary), [Batch([group]) for group in some.groups])
    assert apart == pytest.approx(with_own, rel=1e-6)
    for one, other in zip(gradients, of_parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


# -- earlier responses


def test_a_bounded_history_stretches_no_direction_and_a_call_changes_nothing():
    history = History(HistoryOptions(num_lags=4, hidden=(5,), spectral_norm=True), 3).double()
    assert not history.output.bounded().any()  # it still starts at 0
    layers = [history.hidden[0], history.output]
    for layer, size in zip(layers, (3.0, 0.1), strict=True):
        torch.nn.init.normal_(layer.weight, std=size)
        weight = layer.weight.detach().numpy()
        expected = weight / max(np.linalg.svd(weight)[1][0], 1.0)
        np.testing.assert_allclose(layer.bounded().detach().numpy(), expected, rtol=1e-9)
    previous = torch.randn(2, 6, 3, dtype=torch.float64)
    state = {name: value.clone() for name, value in history.state_dict().items()}
    first = history.train()(previous, 2)
    torch.testing.assert_close(history(previous, 2), first, rtol=0, atol=0)
    assert all(torch.equal(state[name], value) for name, value in history.state_dict().items())
    first.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in history.parameters())


def test_earlier_responses_start_without_effect_and_equal_their_formula():
    options = HistoryOptions(num_lags=4, hidden=(5,), activation="relu")
    model, plain = (encoder(SPECS, history=history, seed=1).eval() for history in (options, None))
    assert model.history == 3  # four lags need three frames before; the core only two
    some = batch(model, SPECS, (2, 1), length=3)
    for one, other in zip(model(some), plain(some), strict=True):
        torch.testing.assert_close(one["robs"], other["robs"][:, -3:], rtol=1e-12, atol=1e-12)
    wake(model)
    drives = [model.readout(g.name)(f) for g, f in zip(some.groups, model.features(some).split([2, 1]), strict=True)]
    for group, drive, output in zip(some.groups, drives, model(some), strict=True):
        encoder_of = model.histories[group.name]
        previous = group.side["previous_responses"].numpy()
        first, last = encoder_of.hidden[0], encoder_of.output
        for frame in range(3):
            lags = previous[:, frame : frame + 4]  # oldest first, the last one at the predicted frame
            seen = lags.transpose(0, 2, 1).reshape(len(lags), -1) @ first.weight.detach().numpy().T
            seen = np.maximum(seen + first.bias.detach().numpy(), 0) @ last.weight.detach().numpy().T
            expected = nn.functional.softplus(drive[:, frame].detach() + torch.from_numpy(seen))
            torch.testing.assert_close(output["robs"][:, frame].detach(), expected, rtol=1e-9, atol=1e-12)


def test_earlier_responses_that_the_data_lack_are_named_with_what_to_write():
    with pytest.raises(ConfigError, match=r"'previous_responses', which is missing in m9.*data.side"):
        encoder([recording("m9", 2)], history=HistoryOptions())
    model = encoder(SPECS, history=HistoryOptions())
    some = batch(model, SPECS, (1, 1))
    del some.groups[0].side["previous_responses"]
    with pytest.raises(DataError, match="m1_a: the batch brings no side input 'previous_responses'"):
        model(some)


def test_earlier_responses_of_a_recording_move_its_own_rates_only():
    model = wake(encoder(SPECS, history=HistoryOptions(num_lags=2)))
    some = batch(model, SPECS, (1, 1))
    side = [group.side["previous_responses"].requires_grad_() for group in some.groups]
    outputs = model(some)
    own, other = torch.autograd.grad(outputs[0]["robs"].sum(), side, allow_unused=True)
    assert own.abs().sum() > 0
    assert other is None


# -- rates


@pytest.mark.parametrize("activation", ["softplus", "exp", "elu1"])
def test_a_baseline_is_added_after_the_nonlinearity_and_means_are_kept(activation):
    spec = recording("m1_a", 3, mean=(0.02, 3.5, 0.001))
    model = encoder([spec], activation=activation, baseline=0.01)
    with torch.no_grad():
        model.readout("m1_a").features.zero_()
    some = batch(model, [spec], (1,))
    expected = torch.tensor([0.02, 3.5, MIN_START_RATE + 0.01], dtype=torch.float64)
    torch.testing.assert_close(model(some)[0]["robs"][0, 0], expected, rtol=1e-7, atol=0)
    with torch.no_grad():
        model.readout("m1_a").bias.fill_(-300.0)
    floor = model(some)[0]["robs"]
    torch.testing.assert_close(floor, torch.full_like(floor, 0.01), rtol=1e-6, atol=1e-9)
    floor.sum().backward()
    assert model.rates.baselines["m1_a"].log_rate.grad.abs().sum() > 0
    assert "robs/log_rate" not in model(some)[0]  # the drive is no longer the logarithm of the rate


def test_the_log_rate_is_given_where_the_drive_is_one():
    model = wake(encoder(SPECS, activation="exp"))
    for output in model(batch(model, SPECS, (2, 1))):
        torch.testing.assert_close(output["robs/log_rate"].exp(), output["robs"], rtol=1e-12, atol=0)
    assert set(encoder(SPECS)(batch(model, SPECS, (1, 1)))[0]) == {"robs"}


# -- no stimulus


def blind(**changes):
    parts = {
        "stimulus": False,
        "core": (),
        "modulator": choice("modulator", "concat", num_channels=4),
        "readout": choice("readout", "pooled"),
    }
    return encoder(SPECS, **(parts | changes))


def test_a_model_of_side_inputs_alone_reads_no_stimulus():
    model = wake(blind())
    assert not model.uses_inputs
    some = batch(model, SPECS, (2, 1), length=4)
    expected = [output["robs"] for output in model(some)]
    for group in some.groups:
        group.inputs = torch.zeros(len(group.inputs), 0, group.inputs.shape[2], 5, 6)
    for output, value in zip(model(some), expected, strict=True):
        assert torch.equal(output["robs"], value)
        assert value.std() > 0
    side = some.groups[0].side["behavior"].requires_grad_()
    (felt,) = torch.autograd.grad(model(some)[0]["robs"][:, 1].sum(), side)
    assert (felt.abs().sum((0, 2)) > 0).tolist() == [False, True, False, False]


def test_b11_a_model_of_side_inputs_and_earlier_responses_runs_and_so_does_one_of_responses_alone():
    for changes in ({}, {"modulator": None}, {"recurrent": (choice("stage", "gru", burn_in=2),)}):
        model = wake(blind(history=HistoryOptions(num_lags=3), **changes))
        outputs = model(batch(model, SPECS, (2, 1), length=4))
        assert [output["robs"].shape for output in outputs] == [(2, 4, 3), (1, 4, 2)]
        sum(output["robs"].sum() for output in outputs).backward()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stimulus": False}, "needs a `modulator` or `history`"),
        ({"stimulus": False, "core": (choice("stage", "conv3d", channels=[2]),)}, "nothing for `adapter` and `core`"),
        ({"baseline": 0.0}, "greater than 0"),
    ],
)
def test_models_that_could_predict_nothing_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        EncoderOptions(readout=choice("readout", "pooled"), **options)


def test_b10_targets_a_batch_lacks_do_not_matter_to_the_forward_pass():
    model = blind()
    some = batch(model, SPECS, (1, 1))
    for group in some.groups:
        group.targets = {}
    assert all(output["robs"].isfinite().all() for output in model(some))


def test_options_filled_with_their_defaults_can_be_read_again():
    options = HistoryOptions()
    assert HistoryOptions.model_validate_json(json.dumps(options.model_dump(mode="json"))) == options
