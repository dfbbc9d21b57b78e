"""Imported weights of VisionCore predict what its formulas give; what cannot is refused by name."""

from __future__ import annotations

import copy

import old_visioncore
import pytest
import torch
import yaml
from neural_models import double
from old_checkpoints import BLOCKS, GRID, UNITS, WHOLE, old_file
from old_zoo import ZOO
from unreported import train

from visioncore_engine import evaluate, load, resolve
from visioncore_engine.cli import main
from visioncore_engine.errors import CheckpointError, ConfigError, UserError
from visioncore_neural.imports.weights import model_of_weights
from visioncore_neural.legacy.importing import import_checkpoint

PAST = "import each once"
LAGS, SIZE = 9, 12
ENCODER = model_of_weights(WHOLE, LAGS)


def run_of(model, num_sessions=2, **data):
    return {
        "seed": 3,
        "data": {
            "name": "synthetic_v1", "num_sessions": num_sessions, "num_subjects": num_sessions, "num_units": UNITS,
            "size": SIZE, "duration": 10.0, "trial": 1.0, "num_repeats": 2, "window": {"length": 4},
            "side": ["behavior"], **data,
        },
        "sampler": {"name": "shuffled", "batch_size": 8, "batches_per_epoch": 1},
        "model": model,
        "loss": {"name": "poisson"},
        "metrics": ["bits_per_spike"],
        "optimizer": {"name": "adamw", "lr": 0.01},
        "trainer": {"max_epochs": 1, "accelerator": "cpu"},
    }  # fmt: skip


def agree(new, name, weights, config, *, lags=LAGS, rtol=1e-4):
    """Compare the last two frames' predictions with the formulas, newest frame first."""
    num_frames = max(lags, new.history + 1) + 1
    draws = torch.Generator().manual_seed(5)
    inputs = torch.rand(2, 1, num_frames, SIZE, SIZE, generator=draws).to(torch.get_default_dtype())
    behavior, previous = (
        torch.randn(2, num_frames, 2, generator=draws),
        torch.rand(2, num_frames, UNITS, generator=draws),
    )
    found = new(name, inputs, {"behavior": behavior, "previous_responses": previous})
    expected = torch.stack([
        old_visioncore.rates(
            weights, config, inputs[:, :, end - lags : end].flip(2).double(), behavior[:, end - 1].double(),
            previous[:, end - 5 : end].flip(1).double(),
        )
        for end in (num_frames - 1, num_frames)
    ], dim=1)  # fmt: skip
    torch.testing.assert_close(found[:, -2:].double(), expected, rtol=rtol, atol=rtol / 10)
    assert (expected[0] - expected[1]).abs().max() > 1e-4, "the input has no effect: nothing was compared"


def imported(tmp_path, config, model, num_sessions=1, *, lags=LAGS, side=("behavior",), **old):
    weights = old_file(tmp_path / "old.ckpt", config, num_sessions, **old)
    names = ["m2_a", "m1_a"] if num_sessions > 1 else []
    run = run_of(model, num_sessions, side=list(side))
    with pytest.warns(DeprecationWarning, match=PAST):
        account = import_checkpoint(tmp_path / "old.ckpt", run, tmp_path / "new.ckpt", num_lags=lags, sessions=names)
    return load(tmp_path / "new.ckpt"), weights, account


@pytest.mark.parametrize(
    ("prefix", "hyper"),
    [("model.", "namespace"), ("model._orig_mod.", "mapping"), ("module.model.", "mapping")],
)
def test_a29_a_whole_model_of_two_sessions_predicts_as_its_formulas_say(tmp_path, prefix, hyper):
    new, weights, account = imported(tmp_path, WHOLE, ENCODER, 2, prefix=prefix, hyper=hyper)
    for place, name in enumerate(["m2_a", "m1_a"]):
        agree(new, name, weights[place], WHOLE)
    assert (account.missing, account.unexpected, account.shapes, account.left_out) == ((), (), (), ())
    assert set(account.matched) == set(new.model.state_dict())
    assert new.description["record"]["imported"]["matched"] == list(account.matched)


def test_a29_sessions_that_the_run_lacks_are_told_and_the_others_keep_their_readouts(tmp_path):
    weights = old_file(tmp_path / "old.ckpt", WHOLE, 2)
    with pytest.warns(DeprecationWarning, match=PAST):
        account = import_checkpoint(
            tmp_path / "old.ckpt", run_of(ENCODER, 1), tmp_path / "new.ckpt", num_lags=LAGS, sessions=["gone", "m1_a"]
        )
    assert account.left_out == ("gone",)
    agree(load(tmp_path / "new.ckpt"), "m1_a", weights[1], WHOLE)


PLAIN = {key: value for key, value in WHOLE.items() if key in ("frontend", "readout", "output_activation")}
MLP = {"type": "mlp", "dims": [5, 4]}
GRU = {"type": "convgru", "params": {"hidden_dim": 3, "kernel_size": 3}}
UNIT = {"type": "convgru", "params": {"beh_emb_dim": 2, "hidden_dim": 3, "kernel_size": 3}}
BLOCK = {"conv_params": {"kernel_size": [2, 3, 3]}, "norm_type": "none", "act_type": "gelu"}


def blocks(**more):
    return {"convnet": {"type": "vanilla", "params": {"channels": [4, 3], "block_configs": [{**BLOCK, **more}, BLOCK]}}}


VARIANTS = {
    "concat": {"modulator": {"type": "concat", "params": {"encoder_params": MLP}}},
    "concat_activated": {
        "modulator": {"type": "concat", "params": {"encoder_params": {**MLP, "last_layer_activation": True}}},
    },
    "gru": {"recurrent": GRU},
    "concat_gru": {"modulator": {"type": "concat", "params": {"encoder_params": MLP}}, "recurrent": GRU},
    "film_gru": {"modulator": {"type": "film", "params": {"encoder_params": MLP}}, "recurrent": GRU},
    "gru_modulator": {"modulator": UNIT, "readout": {"type": "gaussian"}},
    "linear_log_rate": {
        "frontend": {"type": "learnable_temporal", "params": {"kernel_size": 4, "num_channels": 2, "bias": True}},
        "modulator": UNIT, "readout": {"type": "linear"}, "output_activation": "none",
    },
    "vanilla": {
        "adapter": {"type": "adapter", "params": {"grid_size": GRID, "transform": "affine"}},
        "convnet": {"type": "vanilla", "params": {"channels": [4, 3], "block_configs": BLOCKS}},
        "baseline": {"enabled": True, "activation": "softplus"},
    },
    "summed": {
        "convnet": {
            "type": "resnet",
            "params": {"channels": [2], "block_configs": BLOCKS[:1], "resnet_post_add_activation": "relu"},
        },
    },
    "layer_norm": blocks(norm_type="layer"),
    "instance_norm": blocks(norm_type="instance"),
    "group_norm": blocks(norm_type="group", norm_params={"num_groups": 2, "eps": 1e-3}),
    "average_pool": blocks(pool_params={"type": "avg", "kernel_size": [1, 2, 2], "stride": [1, 2, 2]}),
    "max_pool": blocks(pool_params={"type": "max", "kernel_size": 3, "stride": 2, "padding": 1}),
    "soft_pool": blocks(pool_params={"type": "se_pool", "r": 2}),
    "even_pool": blocks(pool_params={"type": "aablur", "r": 2, "use_soft": False}),
    "unpadded": blocks(order=["conv", "norm", "act"]),
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_a20_each_part_predicts_as_its_formula_says_newest_frame_first(tmp_path, name):
    config = {**PLAIN, **VARIANTS[name]}
    model = model_of_weights(config, LAGS)
    new, (weights,), _ = imported(tmp_path, config, model, prefix="")  # a file of one dataset, weights as they are
    agree(new, "m1_a", weights, config)


@pytest.mark.parametrize("name", ZOO)
def test_every_model_that_vision_core_ships_predicts_as_it_did(tmp_path, name):
    config = ZOO[name]
    side = ["behavior", *(["previous_responses"] if "history_encoder" in config else [])]
    with double():
        new, (weights,), account = imported(tmp_path, config, model_of_weights(config, LAGS), side=side)
        agree(new, "m1_a", weights, config, rtol=1e-9)
    assert (account.missing, account.unexpected, account.shapes) == ((), (), ())


def test_a_stem_that_was_kept_as_the_first_layer_is_found_there(tmp_path):
    new, (weights,), _ = imported(tmp_path, WHOLE, ENCODER, apart=False)
    assert "convnet.layers.2.main_block.components.conv.conv.bias" in weights
    agree(new, "m1_a", weights, WHOLE)


def test_a20_the_newest_frames_that_had_no_effect_there_have_none_here(tmp_path):
    new, _, _ = imported(tmp_path, WHOLE, ENCODER)
    inputs = torch.randn(1, 1, new.history + 1, SIZE, SIZE).requires_grad_()
    new("m1_a", inputs, {"behavior": torch.randn(1, new.history + 1, 2)}).sum().backward()
    energy = inputs.grad.square().sum(dim=(0, 1, 3, 4)).flip(0)  # by lag
    assert not energy[:2].any()
    assert energy[3:-1].all()  # the window is 0 at its ends


def test_a19_filters_are_imported_as_they_were_applied_whatever_their_initialiser_said(tmp_path):
    new, weights, _ = imported(tmp_path, WHOLE, ENCODER)
    given = weights[0]["frontend.temporal_conv.conv.parametrizations.weight.original"].flatten(1)
    window = (torch.sin(torch.pi * torch.arange(5, dtype=torch.float64) / 4) ** 2).clamp(min=0) ** 0.25
    applied = new.model.core[0].frontend.weight.flatten(1).double()
    torch.testing.assert_close(applied, given * window, rtol=1e-5, atol=1e-6)


def test_a24_a_film_of_the_old_start_is_imported_as_it_is_though_it_is_no_identity(tmp_path):
    path = tmp_path / "old.ckpt"
    old_file(path, WHOLE, 1)
    payload = torch.load(path, weights_only=True)
    state = payload["state_dict"]
    for part, value in (("scale_layer.weight", 1.0), ("scale_layer.bias", 0.0), ("shift_layer.weight", 0.0)):
        state[f"model.modulator.{part}"].fill_(value)
    torch.save(payload, path)
    with pytest.warns(DeprecationWarning, match=PAST):
        import_checkpoint(path, run_of(ENCODER, 1), tmp_path / "new.ckpt", num_lags=LAGS)
    weights = {name.removeprefix("model."): value.double() for name, value in state.items()}
    agree(load(tmp_path / "new.ckpt"), "m1_a", weights, WHOLE)


def refused(tmp_path, kind, match, model=ENCODER, data=None, **arguments):
    arguments = {"num_lags": LAGS, **arguments}
    with pytest.warns(DeprecationWarning, match=PAST), pytest.raises(kind, match=match) as caught:
        import_checkpoint(tmp_path / "old.ckpt", run_of(model, 1, **(data or {})), tmp_path / "new.ckpt", **arguments)
    assert not (tmp_path / "new.ckpt").exists()
    return str(caught.value)


def test_options_that_the_weights_need_otherwise_are_all_told_with_what_to_write(tmp_path):
    old_file(tmp_path / "old.ckpt", WHOLE, 1)
    model = copy.deepcopy(ENCODER)
    model["core"][0]["frontend"]["kernel_size"] = 4
    model["core"][0]["stem"]["activation"] = "relu"
    model["core"][0]["layers"][1]["norm"] = "none"
    model["adapter"].pop("compat")
    model["modulator"]["hidden"] = [5, 4]
    text = refused(tmp_path, CheckpointError, "model.adapter.compat", model=model)
    for key, needed in (
        ("core.visioncore.frontend.kernel_size", "5"), ("core.visioncore.stem.activation", "split_relu"),
        ("core.visioncore.layers.1.norm", "batch"), ("modulator.hidden", r"[5]"),
    ):  # fmt: skip
        assert f"model.{key}" in text
        assert f"write {needed}" in text
    refused(
        tmp_path, CheckpointError, "has one", model={key: value for key, value in ENCODER.items() if key != "baseline"}
    )
    refused(tmp_path, CheckpointError, "too few", num_lags=4)
    refused(tmp_path, CheckpointError, "num_lags", num_lags=LAGS + 1)
    refused(tmp_path, CheckpointError, "no session is called 'm1_a'", sessions=["m1_b"])


def test_b13_another_number_of_units_is_told_by_session_and_both_numbers(tmp_path):
    old_file(tmp_path / "old.ckpt", WHOLE, 1)
    refused(
        tmp_path,
        CheckpointError,
        f"readout of 'm1_a' has {UNITS} units, and its recording has 5",
        data={"num_units": 5},
    )


def test_a23_a_run_without_behavior_cannot_take_a_model_that_needs_it(tmp_path):
    old_file(tmp_path / "old.ckpt", WHOLE, 1)
    refused(tmp_path, ConfigError, "behavior", data={"side": []})


def test_b13_a_frozen_core_file_needs_its_model_file_and_a_core_alone_is_refused(tmp_path):
    (weights,) = old_file(tmp_path / "old.ckpt", WHOLE, 1, hyper="none")
    refused(tmp_path, CheckpointError, "give it with --model")
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(WHOLE))
    out = tmp_path / "whole.ckpt"
    with pytest.warns(DeprecationWarning, match=PAST):
        import_checkpoint(
            tmp_path / "old.ckpt", run_of(ENCODER, 1), out, num_lags=LAGS, model_file=tmp_path / "model.yaml"
        )
    agree(load(out), "m1_a", weights, WHOLE)
    payload = torch.load(tmp_path / "old.ckpt", weights_only=True)
    left = {name: value for name, value in payload["state_dict"].items() if "model.readout" not in name}
    torch.save({**payload, "state_dict": left}, tmp_path / "old.ckpt")
    refused(tmp_path, CheckpointError, "a core alone", model_file=tmp_path / "model.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("model.convnet.layers.0.main_block.components.norm.running_var"), "the file lacks it"),
        (lambda state: state.update({"model.convnet.layers.9.x": torch.ones(1)}), "nothing takes: convnet.layers.9.x"),
        (lambda state: state.update({"model.other": torch.ones(1)}), "nothing takes: model.other"),
        (lambda state: state.update({"model.modulator.shift_layer.bias": torch.ones(4)}), "do not fit each other"),
        (lambda state: state["model.convnet.stem.components.act.ongain"].fill_(2), "split ReLU is not 1"),
        (lambda state: state["model.readout.std"].fill_(1e-3), "write `min_std"),
    ],
)
def test_no_tensor_is_left_out_or_made_up(tmp_path, change, message):
    old_file(tmp_path / "old.ckpt", WHOLE, 1)
    payload = torch.load(tmp_path / "old.ckpt", weights_only=True)
    change(payload["state_dict"])
    torch.save(payload, tmp_path / "old.ckpt")
    refused(tmp_path, UserError, message, model={**ENCODER, "readout": {"name": "gaussian", "rotate": True}})


def test_the_command_writes_what_evaluation_and_transfer_take(tmp_path, capsys):
    weights = old_file(tmp_path / "old.ckpt", WHOLE, 2)
    run = {**run_of(ENCODER), "run": {"dir": str(tmp_path / "run")}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    words = ["import-checkpoint", tmp_path / "old.ckpt", "--run", tmp_path / "run.yaml", "--lags", LAGS,
             "--sessions", "m1_a", "m2_a", "-o", tmp_path / "new.ckpt"]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    told = capsys.readouterr()
    assert told.err.startswith(f"warning: {tmp_path / 'old.ckpt'}: checkpoints of VisionCore are of the past: {PAST}")
    assert told.err.count("\n") == 1
    assert "missing: 0" in told.out
    assert "unexpected: 0" in told.out
    assert main([str(word) for word in words]) == 2  # nothing is replaced
    capsys.readouterr()
    assert main(["checkpoint", "inspect", str(tmp_path / "new.ckpt")]) == 0
    moved = {**run, "transfer": {"from": str(tmp_path / "new.ckpt"), "parts": ["core", "adapters"], "freeze": ["core"]}}
    result = train(resolve(moved))
    trained = load(result.run_dir / "checkpoints" / "last.ckpt")
    new = load(tmp_path / "new.ckpt")
    assert torch.equal(trained.model.core[0].stem.conv.weight, new.model.core[0].stem.conv.weight)
    found = evaluate(result.run_dir, checkpoint=str(tmp_path / "new.ckpt"))["validation"]
    assert found["bits_per_spike"].scalars
    agree(new, "m2_a", weights[1], WHOLE)
