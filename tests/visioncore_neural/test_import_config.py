"""A run file of ours from VisionCore's model file, file of datasets and command line, with an account of every key."""

from __future__ import annotations

import copy
import math
import shlex

import pytest
import yaml
from old_zoo import ZOO

from visioncore_engine import resolve
from visioncore_engine.cli import main
from visioncore_engine.errors import ConfigError, UsageError
from visioncore_neural.imports.config import import_run
from visioncore_neural.imports.weights import model_of_weights
from visioncore_neural.options.readout import GaussianOptions

MODEL = yaml.safe_load("""
model_type: v1multi
initial_input_channels: 1
sampling_rate: 120
adapter: {type: adapter, params: {grid_size: 51, init_sigma: 1.0, transform: scale}}
frontend:
  type: learnable_temporal
  params: {kernel_size: 16, num_channels: 4, init_type: gaussian_derivatives, aa_signal: true, split_MP: false,
           causal: true, bias: false}
convnet:
  type: resnet
  params:
    channels: [64, 128]
    checkpointing: true
    dim: 3
    stem_config: {out_channels: 32, conv_params: {type: standard, kernel_size: [3, 5, 5], padding: [0, 2, 2]},
                  norm_type: rms, act_type: splitrelu, pool_params: {type: aablur, kernel_size: 2}}
    block_configs:
      - {conv_params: {type: depthwise, kernel_size: [3, 3, 3], padding: 1, use_weight_norm: true},
         norm_type: grn, act_type: silu, dropout: 0.1, pool_params: {type: max, kernel_size: 2, stride: 2}}
      - {conv_params: {type: depthwise, kernel_size: [3, 3, 3], padding: 1, use_weight_norm: true},
         norm_type: grn, act_type: silu, dropout: 0.1, pool_params: {type: max, kernel_size: 2, stride: 2}}
modulator: {type: concat, params: {behavior_dim: 42, feature_dim: 128,
  encoder_params: {dims: [64, 64], activation: gelu}}}
recurrent: {type: convgru, params: {hidden_dim: 128, kernel_size: 3, n_layers: 1}}
readout: {type: gaussian, params: {n_units: 16, bias: true, initial_std: 5.0, initial_mean_scale: 0.1}}
output_activation: softplus
baseline: {enabled: true, init_value: 0.001}
lambda_pred: 0.1
regularization:
  - {name: sparse, type: l1, lambda: 1.0e-7, apply_to: [readouts/features],
     schedule: {kind: warmup, start_epoch: 30}}
  - {name: means, type: l2, lambda: 0, apply_to: readouts/mean}
  - {name: clamp, type: proximal_clamp, lambda: 1.5, apply_to: readouts/std}
""")

DATASETS = yaml.safe_load("""
types: [backimage, gaborium]
session_dir: sessions
sessions: [a_1, a_2, b_1]
sampling: {source_rate: 240, target_rate: 120}
keys_lags: {robs: 0, stim: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24],
            behavior: 0, dfs: 0}
transforms: {stim: {source: stim, ops: [{pixelnorm: {}}], expose_as: stim}}
datafilters: {dfs: {ops: [{valid_nlags: {n_lags: 32}}, {missing_pct: {theshold: 45}}], expose_as: dfs}}
train_val_split: 0.8
seed: 1002
""")

DDP = "--model_config m.yaml --dataset_configs_path d.yaml"
COMMANDS = {
    "manual": f"{DDP} --max_datasets 20 --enable_curriculum --pretrained_checkpoint old.ckpt --freeze_vision --compile",
    "defaults": "",
    "120_long": f"{DDP} --max_datasets 30 --batch_size 256 --learning_rate 1e-3 --core_lr_scale 1.0 "
    "--weight_decay 1e-5 "
    "--max_epochs 9999 --gradient_clip_val 10 --accumulate_grad_batches 4 --lr_scheduler cosine_warmup "
    "--warmup_epochs 2 --precision bf16 --dset_dtype bfloat16 --num_gpus 1 --gpu_ids 0 --num_workers 32 "
    "--steps_per_epoch 512 --limit_val_batches 0.2 --time_budget_minutes 2880 --project_name twins "
    "--experiment_name long_120 --checkpoint_dir ck --enable_logging --fast_log_interval 5 --slow_log_interval 10",
    "canonical_script": "--lr 1e-3 --model_config m.yaml --wd 1e-5 --core_lr_scale 1 --lr_scheduler cosine_warmup "
    "--warmup_epochs 2 --batch_size 256 --max_epochs 9999 --time_budget 48 --tag t --ckpt_path last.ckpt --gpu_ids 0",
    "120_base": f"{DDP} --batch_size 256 --num_gpus 2 --learning_rate 1e-2 --core_lr_scale .5 --weight_decay 1e-4 "
    "--lr_scheduler cosine_warmup_restart --warmup_epochs 5 --steps_per_epoch 1024 --max_epochs 150 "
    "--gradient_clip_val 10 --early_stopping_patience 50 --compile",
    "backimage_120": f"{DDP} --batch_size 128 --num_gpus 2 --learning_rate 1e-3 --core_lr_scale 0.5 "
    "--weight_decay 1e-4 "
    "--lr_scheduler cosine_warmup_restart --restart_period 20 --warmup_epochs 5 --steps_per_epoch "
    "1024 --max_epochs 150 "
    "--gradient_clip_val 10 --early_stopping_patience 50 --early_stopping_min_delta 0.001",
    "history": f"{DDP} --batch_size 64 --num_gpus 2 --learning_rate 1e-3 --weight_decay 1e-4 --gradient_clip_val 1 "
    "--lr_scheduler cosine_warmup_restart --steps_per_epoch 1024 --max_epochs 150 --early_stopping_patience 50",
    "240": f"{DDP} --batch_size 128 --num_gpus 2 --steps_per_epoch 256 --max_epochs 150 --lr_scheduler "
    "cosine_warmup_restart --gradient_clip_val 10 --early_stopping_patience 40",
    "all_models": f"{DDP} --batch_size 256 --num_gpus 2 --learning_rate 1e-3 --core_lr_scale .5 --weight_decay 1e-5 "
    "--lr_scheduler cosine_warmup --warmup_epochs 5 --steps_per_epoch 512 --max_epochs 200 --gradient_clip_val 0.3",
    "pretraining": f"{DDP} --batch_size 128 --num_gpus 2 --lr_scheduler cosine_warmup_restart --steps_per_epoch 1024 "
    "--max_epochs 150 --gradient_clip_val 1 --pretrained_checkpoint best.ckpt",
    "frozencore": "--pretrained_checkpoint runs --model_type resnet --model_index 0 --dataset_configs_path d.yaml "
    "--batch_size 256 --num_gpus 2 --learning_rate 1e-3 --weight_decay 1e-5 --lr_scheduler cosine_warmup_restart "
    "--steps_per_epoch 1024 --max_epochs 100 --gradient_clip_val 1 --early_stopping_patience 30 --precision bf16-mixed "
    "--freeze_vision",
    "smoke_sgpu": f"{DDP} --gpu 0 --homogeneous_batches --batch_size 8 --accumulate_grad_batches 32 "
    "--learning_rate 1e-3 "
    "--lr_scheduler cosine_warmup --warmup_epochs 5 --steps_per_epoch 1024 --max_epochs 100 "
    "--early_stopping_patience 10",
    "vivit": f"{DDP} --batch_size 16 --num_gpus 4 --learning_rate 3e-4 --core_lr_scale 1 --weight_decay .05 "
    "--lr_scheduler cosine --steps_per_epoch 1000 --max_epochs 200 --early_stopping_patience 50",
    "step": "--lr_scheduler step --precision 32 --dset_dtype float32",
    "plateau": "--lr_scheduler plateau --precision 16-mixed --log_dataset_idx 7",
}


def imported(words="", model=MODEL, datasets=DATASETS):
    return import_run(copy.deepcopy(model), copy.deepcopy(datasets), shlex.split(words))


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_every_command_line_of_the_manuals_gives_a_run_that_check_accepts(words):
    run, ledger = imported(words)
    assert resolve(run).run.trainer.max_epochs
    told = {*ledger.idle, *ledger.lost, *ledger.changed}
    for flag in ("--core_lr_scale", "--compile", "--time_budget_minutes", "--ckpt_path", "--pretrained_checkpoint"):
        assert (flag in told) == (flag in words.split()), flag


def test_a2_a1_flags_without_effect_are_listed_and_what_was_meant_is_carried_over():
    run, ledger = imported(COMMANDS["manual"] + " --core_lr_scale 0.5")
    assert {"--core_lr_scale", "--pretrained_checkpoint", "--freeze_vision"} <= set(ledger.idle)
    assert run["transfer"] == {"from": "old.ckpt", "parts": ["core"], "freeze": ["core"]}
    assert "groups" not in run["optimizer"]


def test_a28_keys_without_effect_are_listed_with_the_one_that_was_meant():
    _, ledger = imported()
    assert {
        "convnet.params.checkpointing", "convnet.params.dim", "modulator.params.feature_dim",
        "readout.params.n_units", "lambda_pred", "frontend.params.init_type",
    } <= set(ledger.idle)  # fmt: skip
    assert "'threshold' was meant?" in ledger.idle["datafilters.dfs.ops.1.missing_pct.theshold"]
    assert "types" in ledger.lost


def test_a_key_that_nobody_knows_is_listed_wherever_it_stands():
    model = copy.deepcopy(MODEL)
    model["convnet"]["params"]["block_configs"][1]["conv_params"]["kernel_sise"] = 3
    model["reccurent"] = {}
    model["regularization"][0]["apply_too"] = ["readouts"]
    _, ledger = imported(model=model)
    assert "'kernel_size' was meant?" in ledger.idle["convnet.params.block_configs.1.conv_params.kernel_sise"]
    assert "'recurrent' was meant?" in ledger.idle["reccurent"]
    assert "'apply_to' was meant?" in ledger.idle["regularization.0.apply_too"]


def test_a_batch_is_counted_over_devices_and_accumulation_and_an_epoch_in_optimizer_steps():
    run, _ = imported("--batch_size 256 --num_gpus 2 --accumulate_grad_batches 4 --steps_per_epoch 512 "
                      "--warmup_epochs 3 "
                      "--lr_scheduler cosine_warmup")  # fmt: skip
    assert run["sampler"] == {"name": "shuffled", "batch_size": 2048, "batches_per_epoch": 128}
    assert run["optimizer"]["accumulate"] == 4
    assert run["scheduler"] == {"name": "warmup_cosine", "warmup_steps": 384}


def test_a29_sessions_that_are_cut_off_are_said():
    run, ledger = imported("--max_datasets 2")
    assert run["data"]["sessions"] == ["a_1", "a_2"]
    assert "the last 1 of 3 were left out" in ledger.changed["sessions"]
    assert "sessions" not in imported()[1].changed


def test_the_model_is_the_same_graph():
    model = imported()[0]["model"]
    assert [stage["name"] for stage in model["core"]] == ["learnable_temporal", "conv3d", "resnet3d"]
    assert model["core"][1]["activation"] == "split_relu"
    assert model["core"][2] == {
        "name": "resnet3d", "channels": [64, 128], "kernel_size": [[3, 3, 3], [3, 3, 3]], "stride": [1, 1],
        "separable": "depthwise", "weight_norm": "gain", "norm": "frame_response", "activation": "silu",
        "dropout": 0.1, "pool": "max", "pool_size": [2, 2], "id": "block0",
    }  # fmt: skip
    assert model["modulator"] == {"name": "concat", "hidden": [64], "num_channels": 64, "activation": "gelu"}
    assert model["adapter"]["grid_size"] == 51
    assert model["baseline"] == 0.001


def test_penalties_are_matched_by_our_names_and_a_penalty_of_0_keeps_from_decay():
    run, _ = imported()
    sparse = run["regularizers"]["sparse"]
    assert sparse["match"] == ["*readouts.*features*"]
    assert sparse["strength"] == {"schedule": "step_in", "start": 0.0, "stop": 1e-7, "begin": 30.0, "clock": "epoch"}
    assert run["optimizer"]["no_decay"] == ["*readouts.*mean*"]


def penalised(*, schedule=None, **entry):
    """Imported regularizers of one entry, and the account."""
    entry = {"name": "one", "lambda": 2.0, "apply_to": "convnet/weight", **entry}
    run, ledger = imported(model={**MODEL, "regularization": [entry | ({"schedule": schedule} if schedule else {})]})
    assert resolve(run)
    return run.get("regularizers"), ledger


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("l1", {"name": "l1"}),
        ("l2", {"name": "l2"}),
        ("group_lasso", {"name": "group_lasso", "groups": "tensor"}),  # one group was one tensor
        ("ortho", {"name": "orthogonality"}),
        ("proximal_l1", {"name": "proximal_l1", "rates": "value"}),
    ],
)
def test_every_penalty_has_its_counterpart_with_its_options(kind, options):
    made, _ = penalised(type=kind)
    assert made == {"one": {**options, "match": ["*core.*weight*"], "strength": 2.0}}


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [("proximal_clamp", -2.0, 2.0), ("proximal_clamp_positive", 0.0, 2.0), ("proximal_clamp_min", 2.0, None)],
)
def test_a6_clamps_move_their_bounds_and_not_their_strength(kind, low, high):
    made, _ = penalised(type=kind)
    assert (made["one"].get("min"), made["one"].get("max"), made["one"]["strength"]) == (low, high, 1.0)
    decay = {"kind": "linear_decay", "start_epoch": 0, "end_epoch": 50, "start_lambda": 10.0}
    made, _ = penalised(type=kind, schedule=decay)
    moving = made["one"]["min" if high is None else "max"]
    assert moving == {"schedule": "ramp", "start": 10.0, "stop": 2.0, "begin": 0.0, "steps": 50.0, "clock": "epoch"}
    assert made["one"]["strength"] == 1.0
    made, _ = penalised(type=kind, schedule={"kind": "warmup", "start_epoch": 3})
    assert made["one"]["strength"] == {
        "schedule": "step_in", "start": 0.0, "stop": 1.0, "begin": 3.0, "clock": "epoch",
    }  # fmt: skip


def test_bounds_of_widths_are_bounds_of_their_logarithms():
    narrow, wide = (math.log(bound - GaussianOptions().min_std) for bound in (1.5, 10.0))
    decay = {"kind": "linear_decay", "start_epoch": 0, "end_epoch": 50, "start_lambda": 10.0}
    entry = {"type": "proximal_clamp_positive", "lambda": 1.5, "apply_to": ["readouts/std"]}
    made, ledger = penalised(**entry, schedule=decay)
    (clamp,) = made.values()
    assert clamp["match"] == ["*readouts.*log_std*"]
    assert "min" not in clamp  # every width is positive
    assert (clamp["max"]["start"], clamp["max"]["stop"]) == (pytest.approx(wide), pytest.approx(narrow))
    assert "logarithms" in ledger.changed["regularization.0.lambda"]
    made, ledger = penalised(**{**entry, "apply_to": ["readouts/std", "convnet/weight"]})
    assert sorted(clamp["max"] for clamp in made.values()) == [pytest.approx(narrow), 1.5]
    made, ledger = penalised(**{**entry, "apply_to": ["readouts"]})
    assert made is None
    assert "regularization.0.apply_to" in ledger.lost


def test_a_penalty_that_nobody_knows_or_that_matches_nothing_is_told():
    made, ledger = penalised(type="elastic")
    assert made is None
    assert "regularization.0.type" in ledger.lost
    made, ledger = penalised(type="l1", apply_to=[])
    assert made is None
    assert "apply_to" in ledger.idle["regularization.0.type"]


def test_a_budget_of_time_is_in_minutes_and_ends_the_schedule_too():
    budget = {"name": "time_budget", "minutes": 2880.0, "shorten": True}
    for words in ("--time_budget_minutes 2880", "--time_budget 48"):
        run, ledger = imported(words)
        assert budget in run["callbacks"]
        assert words.split()[0] in ledger.changed
    assert "callbacks" not in imported()[0]


def test_logging_is_pictures_of_kernels_and_its_flags_are_idle_without_it():
    run, ledger = imported("--enable_logging --fast_log_interval 7 --slow_log_interval 9 --log_dataset_idx 2")
    assert run["callbacks"] == [{"name": "model_logging", "every": 7}]
    assert {"--slow_log_interval", "--log_dataset_idx"} <= set(ledger.lost)
    run, ledger = imported("--fast_log_interval 7 --log_dataset_idx 2")
    assert "callbacks" not in run
    assert {"--fast_log_interval", "--log_dataset_idx"} <= set(ledger.idle)


@pytest.mark.parametrize("core", ["none", "vanilla", "densenet", "resnet"])
@pytest.mark.parametrize("modulator", ["none", "film", "concat", "convgru", "pc"])
@pytest.mark.parametrize("recurrent", ["none", "convgru", "gru", "lstm"])
def test_every_member_of_the_zoo_gives_a_run_that_check_accepts(core, modulator, recurrent):
    model = copy.deepcopy(MODEL)
    model["convnet"]["type"], model["recurrent"]["type"] = core, recurrent
    model["modulator"] = {"type": modulator, "params": {}}
    assert resolve(imported(model=model)[0])


def test_a_model_of_behavior_alone_reads_no_stimulus():
    model = {"modulator": MODEL["modulator"], "readout": {"type": "linear"}, "output_activation": "Identity"}
    made = imported(model=model)[0]["model"]
    assert made["stimulus"] is False
    assert made["activation"] == "exp"


@pytest.mark.parametrize("words", ["--batch_sise 4", "--batch_size", "4", "--batch_size many", "--lr_scheduler warm"])
def test_a_wrong_word_of_the_command_line_is_told(words):
    with pytest.raises(UsageError, match=r"VisionCore|needs a value|is a number"):
        imported(words)


def test_the_command_writes_a_run_file_and_says_what_became_of_every_key(tmp_path, capsys):
    for name, content in (("m", MODEL), ("d", DATASETS)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    files = [str(tmp_path / "m.yaml"), str(tmp_path / "d.yaml")]
    out = tmp_path / "run.yaml"
    old = shlex.split(COMMANDS["120_long"])
    assert main(["import-config", "--from", "visioncore", "-o", str(out), *files, "--", *old]) == 0
    shown = capsys.readouterr().out
    assert "had no effect in VisionCore:" in shown
    assert "  --core_lr_scale: " in shown
    assert main(["check", str(out), "--no-data"]) == 0
    assert main(["import-config", "--from", "visioncore", *files, "--", "--batch_sise", "3"]) == 2
    assert "did you mean '--batch_size'?" in capsys.readouterr().err


def test_a_run_for_old_weights_has_the_model_that_takes_them_and_no_penalties(tmp_path, capsys):
    old = ZOO["resnet_concat_convgru"]
    files = {"m": {**old, "regularization": [{"name": "l1", "type": "l1", "lambda": 1e-7}]}, "d": DATASETS}
    for name, content in files.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    out = tmp_path / "new" / "run.yaml"
    words = ["import-config", "--from", "visioncore", "--for-weights", "-o", str(out)]
    assert main([*words, str(tmp_path / "m.yaml"), str(tmp_path / "d.yaml")]) == 0
    assert "regularization: the run is for weights that have been trained" in capsys.readouterr().out
    run = yaml.safe_load(out.read_text())
    assert run["model"] == model_of_weights(old, len(DATASETS["keys_lags"]["stim"]))
    assert "regularizers" not in run
    assert main(["check", str(out), "--no-data"]) == 0


def test_a_model_whose_weights_cannot_be_carried_over_is_told_by_its_file(tmp_path, capsys):
    model, datasets = tmp_path / "m.yaml", tmp_path / "d.yaml"
    model.write_text(yaml.safe_dump(MODEL))
    datasets.write_text(yaml.safe_dump(DATASETS))
    assert main(["import-config", "--from", "visioncore", "--for-weights", str(model), str(datasets)]) == 2
    shown = capsys.readouterr().err
    assert str(model) in shown
    assert "depthwise" in shown


def test_a_file_of_datasets_without_sessions_is_refused_not_taken_for_all_of_them():
    with pytest.raises(ConfigError, match="the file of datasets names none"):
        imported(datasets=MODEL)
