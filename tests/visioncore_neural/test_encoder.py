"""The encoder: one core, an adapter and a head per recording, parts that fit, rates that are positive."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_models import batch, choice, encoder, recording
from pydantic import ValidationError
from torch import nn

from visioncore_common.names import module_name
from visioncore_common.options.regularizer import ActivityOptions
from visioncore_common.regularizers.activity import Activity
from visioncore_engine import Component, choose
from visioncore_engine.component import KINDS, resolve_address
from visioncore_engine.contracts import Batch, LossFacts, RegularizerFacts
from visioncore_engine.errors import ConfigError, DataError, PluginError
from visioncore_engine.objective import Objective, OutputPenalty, predict
from visioncore_engine.options import Options
from visioncore_neural._model_components import COMPONENTS
from visioncore_neural.models.activations import make_activation
from visioncore_neural.models.rates import MIN_START_RATE
from visioncore_neural.options.model import EncoderOptions

SPECS = (
    recording("m1_a", 3, side={"behavior": 2}),
    recording("m1.b", 2, (1, 7, 4), side={"behavior": 2, "eyepos": 1}),
    recording("m2_c", 4, side={"behavior": 2}),
)


def full(**changes):
    parts = {
        "adapter": choice("adapter", "affine", grid_size=5),
        "core": (
            choice("stage", "learnable_temporal", kernel_size=4),
            choice("stage", "resnet3d", channels=[4], kernel_size=[2, 3, 3]),
        ),
        "modulator": choice("modulator", "film", hidden=[5]),
        "recurrent": (choice("stage", "conv_gru", hidden_channels=3, burn_in=3, unroll="per_prediction"),),
    }
    return encoder(SPECS, **(parts | changes))


def wake(model):
    """Move parts off the start at which they do nothing."""
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=draw, dtype=parameter.dtype), alpha=0.1)
    return model.eval()


def by_name(model, some):
    outputs = model(some)
    return {group.name: output["robs"] for group, output in zip(some.groups, outputs, strict=True)}


def test_outputs_are_one_positive_rate_per_predicted_frame_and_unit():
    model = full()
    outputs = model(batch(model, SPECS, (2, 1, 3), length=4))
    assert [output["robs"].shape for output in outputs] == [(2, 4, 3), (1, 4, 2), (3, 4, 4)]
    assert all((output["robs"] > 0).all() for output in outputs)
    assert model.history == 3 + 2 + 3
    assert not model.batch_statistics
    assert not model.stochastic


def test_exposed_features_are_those_of_the_part_at_each_prediction_and_change_no_rate():
    plain, model = wake(full()), wake(full(expose=("core.*", "modulator", "recurrent.0")))
    some = batch(model, SPECS, (2, 1, 3), length=4)
    outputs = model(some)
    assert by_name(model, some).keys() == by_name(plain, some).keys()
    for name, rates in by_name(plain, some).items():
        torch.testing.assert_close(by_name(model, some)[name], rates, rtol=0, atol=0)
    for group, output in zip(some.groups, outputs, strict=True):
        frames = model.adapters[module_name(group.name)](group.inputs)
        first = model.core[0](frames)
        for name, expected in (("core.0", first), ("core.1", model.core[1](first))):
            found = output[f"features/{name}"][:, -4:].movedim(1, 2)
            torch.testing.assert_close(found, expected[:, :, -4:])
    seen = torch.cat([output["features/recurrent.0"] for output in outputs]).movedim(1, 2)
    torch.testing.assert_close(seen, model.features(some))
    assert plain.compilable == ("core",)
    assert model.compilable == ()


def test_a_pattern_that_matches_no_part_is_told_with_the_parts_there_are():
    with pytest.raises(ConfigError, match=r"model.expose: .*parts are: core.0, core.1, recurrent.0, modulator"):
        full(expose=("core.7",))


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_activity_of_features_is_its_mean_over_all_predictions_however_the_batch_is_cut(norm):
    """The law of penalties on outputs, inside the model: no pass, no cut and no order of groups weighs otherwise."""
    options = ActivityOptions(strength=0.5, match=("features/core.0",), norm=norm)
    penalty = OutputPenalty("quiet", Activity(options, RegularizerFacts({})), options.match, 0.5)
    ones = [{"robs": torch.ones(spec.targets["robs"].size)} for spec in SPECS]
    loss = choice("loss", "poisson").build(LossFacts(SPECS))
    model = wake(full(expose=("core.0",)))
    groups = [
        replace(group, index=index) for index, group in enumerate(batch(model, SPECS, (2, 1, 3), length=4).groups)
    ]
    total, num = 0.0, 0
    for group in groups:
        counted = group.mask.any(-1)
        features = model.core[0](model.adapters[module_name(group.name)](group.inputs))[:, :, -4:].movedim(2, 1)
        total += (features.abs() if norm == "l1" else features**2)[counted].sum()
        num += int(counted.sum())
    expected = torch.autograd.grad(0.5 * total / num, list(model.core.parameters()), allow_unused=True)
    made = Objective(loss, ones, penalties=[penalty])
    for cut in ([Batch(groups)], [Batch([group]) for group in reversed(groups)]):
        weights = made.weights(cut)
        sums = [
            part
            for some in cut
            for (_, term), part in made.sums(predict(model, some), some).items()
            if term == "penalty/quiet"
        ]
        value = torch.stack(sums).sum() / weights["penalty/quiet"]
        torch.testing.assert_close(value, 0.5 * total / num)
        found = torch.autograd.grad(value, list(model.core.parameters()), allow_unused=True)
        for one, other in zip(found, expected, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                torch.testing.assert_close(one, other)


def test_a_batch_of_one_example_and_of_none():
    model = full()
    one = batch(model, SPECS[:1], (1,), length=1)
    assert model(one)[0]["robs"].shape == (1, 1, 3)
    assert model(Batch([])) == []


def test_groups_in_any_order_and_company_give_the_same_outputs():
    model = wake(full())
    together = batch(model, SPECS, (2, 1, 3))
    expected = by_name(model, together)
    for order in permutations(together.groups):
        for name, output in by_name(model, Batch(list(order))).items():
            torch.testing.assert_close(output, expected[name], rtol=1e-12, atol=1e-12)
    for group in together.groups:
        torch.testing.assert_close(
            by_name(model, Batch([group]))[group.name], expected[group.name], rtol=1e-12, atol=1e-12
        )


def test_the_core_runs_once_for_all_groups():
    model, calls = full(), []
    model.core[0].register_forward_hook(lambda module, args, output: calls.append(args[0].shape[0]))
    model(batch(model, SPECS, (2, 1, 3)))
    assert calls == [6]


def test_heads_and_adapters_of_absent_groups_keep_no_gradient():
    model = wake(full())
    some = batch(model, [SPECS[0], SPECS[2]], (2, 3))
    sum(output["robs"].sum() for output in model(some)).backward()
    without = {name.split(".")[1] for name, parameter in model.named_parameters() if parameter.grad is None}
    assert without == {module_name("m1.b")}
    assert all(p.grad.abs().sum() > 0 for name, p in model.named_parameters() if module_name("m1.b") not in name)


@pytest.mark.parametrize("modulator", ["film", "concat"])
def test_windows_of_length_one_and_one_long_window_give_the_same_predictions(modulator):
    model = wake(full(modulator=choice("modulator", modulator, hidden=[5])))
    clip = batch(model, SPECS, (2, 1, 3), length=6)
    whole = by_name(model, clip)
    for frame in range(6):
        for group in clip.groups:
            single = type(group)(
                **{
                    **vars(group),
                    "inputs": group.inputs[:, :, frame : frame + model.history + 1],
                    "side": {name: side[:, frame : frame + model.history + 1] for name, side in group.side.items()},
                }
            )
            torch.testing.assert_close(
                by_name(model, Batch([single]))[group.name],
                whole[group.name][:, frame : frame + 1],
                rtol=1e-12,
                atol=1e-12,
            )


def test_a20_a_prediction_depends_on_its_own_frame_and_history_and_nothing_later():
    model = wake(full())
    some = batch(model, SPECS[:1], (1,), length=4)
    some.groups[0].inputs.requires_grad_()
    output = model(some)[0]["robs"]
    for frame in range(4):
        (seen,) = torch.autograd.grad(output[:, frame].sum(), some.groups[0].inputs, retain_graph=True)
        energy = seen.abs().sum(dim=(0, 1, 3, 4)).numpy()
        assert (energy > 0).tolist() == [frame <= t <= frame + model.history for t in range(model.history + 4)]


def test_burn_in_frames_of_a_stream_are_history_and_are_left_out():
    gru = choice("stage", "conv_gru", hidden_channels=3, burn_in=5)
    model = encoder(SPECS[:1], recurrent=(gru, choice("stage", "conv3d", channels=[2], kernel_size=[2, 1, 1])))
    assert model.history == 2 + 5 + 1
    assert model(batch(model, SPECS[:1], (2,), length=4))[0]["robs"].shape == (2, 4, 3)


def test_side_inputs_are_aligned_to_the_last_frames_of_the_features():
    model = wake(full(recurrent=()))
    some = batch(model, SPECS[:1], (1,), length=4)
    side = some.groups[0].side["behavior"].requires_grad_()
    output = model(some)[0]["robs"]
    for frame in range(4):
        (seen,) = torch.autograd.grad(output[:, frame].sum(), side, retain_graph=True)
        assert np.flatnonzero(seen.abs().sum(dim=(0, 2)).numpy()).tolist() == [frame + model.history]


@settings(deadline=None, max_examples=10)
@given(bad=st.sampled_from([float("nan"), float("inf"), 1e9]), seed=st.integers(0, 100))
def test_targets_under_a_false_mask_change_no_bit_of_any_gradient(bad, seed):
    model = wake(full())
    loss = choice("loss", "poisson").build(LossFacts(SPECS))

    def gradients(value):
        some = batch(model, SPECS, (2, 1, 3))
        for i, group in enumerate(some.groups):
            draw = torch.Generator().manual_seed(seed + i)
            group.mask = torch.rand(group.targets["robs"].shape, generator=draw) < 0.6
            if value is not None:
                group.targets["robs"].masked_fill_(~group.mask, value)
        model.zero_grad()
        outputs = model(some)
        sum(loss(o, g)["robs"].sum() for o, g in zip(outputs, some.groups, strict=True)).backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(gradients(None), gradients(bad), strict=True))


def test_inputs_of_any_numeric_dtype_meet_the_weights_in_theirs():
    model = full()
    some = batch(model, SPECS[:1], (2,))
    some.groups[0].inputs = (some.groups[0].inputs * 10).to(torch.int8)
    expected = model(some)[0]["robs"]
    some.groups[0].inputs = some.groups[0].inputs.double()
    assert torch.equal(model(some)[0]["robs"], expected)


def test_rates_are_float32_under_autocast():
    model = full().float()
    some = batch(model, SPECS, (2, 1, 3))
    exact = model(some)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(some)
    for a, b in zip(exact, rough, strict=True):
        assert b["robs"].dtype == torch.float32
        torch.testing.assert_close(a["robs"], b["robs"], rtol=0.05, atol=0)


# -- names


@settings(deadline=None)
@given(st.text(min_size=1, max_size=20))
def test_module_names_are_reversible_and_free_of_dots_and_wildcards(name):
    escaped = module_name(name)
    assert unquote(escaped) == name
    assert not set(escaped) & set(".*?[]/ ")
    nn.ModuleDict({escaped: nn.Identity()})


@pytest.mark.parametrize("name", ["keys", "pop", "training", "forward", "__init__", "m1.a", "m1_a", "50%"])
def test_names_that_torch_would_refuse_are_groups_like_any_other(name):
    model = encoder([recording(name, 2)])
    assert model(batch(model, [recording(name, 2)], (1,)))[0]["robs"].shape == (1, 3, 2)
    assert model.readout(name).mask().shape == (2, 5, 6)


def test_a29_parameters_are_named_by_group_and_not_by_position():
    shapes = {name: parameter.shape for name, parameter in full().named_parameters()}
    assert {name for name in shapes if name.startswith("readouts.m1_a.")} == {
        f"readouts.m1_a.{leaf}" for leaf in ("features", "mean", "log_std", "bias")
    }
    assert shapes["readouts.m1%2Eb.features"] == (2, 4 - 1)
    assert {name.split(".")[0] for name in shapes} == {"adapters", "core", "modulator", "recurrent", "readouts"}
    reordered = encoder(SPECS[::-1], adapter=choice("adapter", "affine", grid_size=5))
    plain = encoder(SPECS, adapter=choice("adapter", "affine", grid_size=5))
    assert {n: p.shape for n, p in reordered.named_parameters()} == {n: p.shape for n, p in plain.named_parameters()}


def test_an_unknown_group_is_named_with_the_nearest():
    with pytest.raises(DataError, match="no group named 'm1_b'; did you mean 'm1"):
        full().readout("m1_b")


# -- start


@pytest.mark.parametrize("activation", ["softplus", "exp", "elu1"])
def test_biases_start_at_the_mean_rate_with_a_floor_for_silent_and_masked_units(activation):
    spec = recording("m1_a", 4, mean=(0.02, 3.5, 0.0, float("nan")))
    model = encoder([spec], activation=activation)
    with torch.no_grad():
        model.readout("m1_a").features.zero_()
    rates = model(batch(model, [spec], (1,)))[0]["robs"]
    expected = torch.tensor([0.02, 3.5, MIN_START_RATE, MIN_START_RATE], dtype=torch.float64)
    torch.testing.assert_close(rates, expected.expand_as(rates), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "sharpness"), [("softplus", None), ("softplus", 5.0), ("exp", None), ("elu1", None)])
def test_activations_are_positive_increasing_and_inverted(name, sharpness):
    activation = make_activation(name, sharpness)
    drives = torch.linspace(-80, 30, 2001)
    rates = activation(drives)
    assert rates.min() > 0 or sharpness
    assert torch.all(rates.diff() >= 0)
    for rate in (1e-6, 1e-3, 0.5, 1.0, 1.5, 40.0):
        drive = torch.tensor(activation.inverse(rate), dtype=torch.float64)
        assert activation(drive).item() == pytest.approx(rate, rel=1e-9)


def test_elu1_equals_elu_plus_one():
    drives = torch.linspace(-5, 5, 101, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(make_activation("elu1")(drives), nn.functional.elu(drives) + 1, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(make_activation("elu1"), (drives[::7] + 0.01,))


# -- what does not fit


def test_a23_a_side_input_that_some_group_lacks_is_named_when_the_model_is_built():
    specs = (SPECS[0], recording("m3_z", 2))
    with pytest.raises(ConfigError, match=r"modulator: needs the side input 'behavior', which is missing in m3_z"):
        encoder(specs, modulator=choice("modulator", "film"))
    with pytest.raises(
        ConfigError, match=r"missing in m1_a, m1.b, m2_c; all groups have: behavior; did you mean 'behavior'"
    ):
        encoder(SPECS, modulator=choice("modulator", "film", inputs=["behaviour"]), **adapted())


def adapted():
    return {"adapter": choice("adapter", "affine", grid_size=5)}


def test_a23_a_side_input_that_a_batch_lacks_is_named_when_the_model_is_called():
    model = full()
    some = batch(model, SPECS, (1, 1, 1))
    del some.groups[1].side["behavior"]
    with pytest.raises(DataError, match=r"m1\.b: the batch brings no side input 'behavior'"):
        model(some)


def test_a_side_input_that_nobody_asks_for_may_be_missing():
    model = full()
    some = batch(model, SPECS, (1, 1, 1))
    del some.groups[1].side["eyepos"]
    assert len(model(some)) == 3


def test_side_inputs_of_different_size_are_refused():
    specs = (SPECS[0], recording("m3_z", 2, side={"behavior": 5}))
    with pytest.raises(ConfigError, match=r"another size in other groups \(got m1_a: 2, m3_z: 5\)"):
        encoder(specs, modulator=choice("modulator", "film"))


def test_recordings_of_different_shape_need_an_adapter():
    with pytest.raises(
        ConfigError, match=r"adapter: .* one shape \(got m1_a: \(1, 5, 6\), m1\.b: \(1, 7, 4\)\); choose an"
    ):
        encoder(SPECS)


def test_recordings_of_different_rate_cannot_share_a_core():
    with pytest.raises(DataError, match=r"m2_b: frames last 0.02 s here, 0.01 s in m1_a"):
        encoder([recording("m1_a"), recording("m2_b", dt=0.02)])
    encoder([recording("m1_a", dt=1 / 60), recording("m2_b", dt=0.016667)])


def test_targets_of_another_kind_and_inputs_of_another_shape_are_refused():
    with pytest.raises(DataError, match="kind counts or rates"):
        encoder([recording(kind="classes")])
    with pytest.raises(DataError, match=r"frames of shape \(C, H, W\); data without space have H = W = 1"):
        encoder([recording(shape=(2,))])


def test_windows_shorter_than_the_history_are_refused():
    model = full()
    with pytest.raises(DataError, match="longer than the model's history of 8 frames"):
        model(batch(model, SPECS[:1], (1,), length=0))


def test_the_users_mistake_in_a_nested_block_is_told_with_its_place():
    with pytest.raises(ConfigError, match=r"model\.core\.conv3d\.kernel_size: part of a 9 x 99 kernel"):
        encoder(SPECS[:1], core=(choice("stage", "conv3d", channels=[2], kernel_size=[1, 9, 99]),))


@pytest.mark.parametrize(
    ("out_shape", "error", "message"),
    [
        ((1, 5, 5), PluginError, r"core\.odd: 'odd' makes another output than it declares, \(1, 1, 2, 5, 5\)"),
        ((7, 5, 6), ConfigError, r"core\.odd: cannot run on an input of shape \(1, 1, 2, 5, 6\)"),
        ((0, 5, 6), PluginError, r"core\.odd: 'odd' makes parameters in its first call"),
    ],
    ids=["a22 wrong shape", "cannot run", "a22 lazy weights"],
)
def test_a_stage_that_breaks_its_word_is_named_before_training(out_shape, error, message):
    component = Component(name="odd", summary="", build=f"{__name__}:Odd")
    odd = choose("stage", component, Options())
    Odd.declared = out_shape
    with pytest.raises(error, match=message):
        encoder(SPECS[:1], core=(odd,))


class Odd(nn.Module):
    """Declares what it is told to, and does something else."""

    declared = (1, 1, 1)
    history, burn_in = 0, 0

    def __init__(self, options, facts):
        super().__init__()
        self.out_shape = (1, 5, 6) if self.declared[0] == 0 else self.declared

    def forward(self, features):
        if self.declared[0] == 0:
            self.late = nn.Parameter(torch.zeros(1))
        if self.declared[0] == 7:
            return features @ torch.zeros(7, 7)
        return features


def test_a_stage_over_the_batch_is_said_aloud():
    core = (choice("stage", "conv3d", channels=[2], norm="batch"), choice("stage", "conv3d", channels=[2], dropout=0.5))
    model = encoder(SPECS[:1], core=core)
    assert (model.batch_statistics, model.stochastic) == (True, True)
    assert model.training


def test_sharpness_without_softplus_is_refused():
    with pytest.raises(ValidationError, match="`sharpness` belongs to activation 'softplus'"):
        EncoderOptions(readout=choice("readout", "gaussian"), activation="exp", sharpness=2.0)


# -- declarations


@pytest.mark.parametrize(
    ("kind", "component"),
    [(kind, c) for kind, found in COMPONENTS.items() for c in found],
    ids=lambda x: getattr(x, "name", x),
)
def test_every_address_leads_somewhere_of_the_right_kind(kind, component):
    assert callable(resolve_address(component.build))
    options = resolve_address(component.options or KINDS[kind].options)
    assert issubclass(options, resolve_address(KINDS[kind].options))
    assert all(field.description for field in options.model_fields.values())
