"""The models that VisionCore ships give runs that `visioncore check` accepts; and whatever the import writes exists."""

from __future__ import annotations

import ast
import copy
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from visioncore_engine import discover, resolve
from visioncore_engine.cli import main
from visioncore_engine.component import KINDS, resolve_address
from visioncore_engine.errors import ConfigError
from visioncore_engine.options import Options
from visioncore_engine.run import dry_build
from visioncore_neural.imports import config, datasets, flags, layers, model, regularizers, transforms, weights
from visioncore_neural.imports.config import import_run

PARTS = yaml.safe_load("""
adapter: {type: adapter, params: {grid_size: 51, init_sigma: 1.0, transform: scale}}
learned: {type: learnable_temporal, params: {kernel_size: 16, num_channels: 4, init_type: biphasic, aa_signal: true,
  aa_window: hann, aa_window_kwargs: {power: 0.25}, split_MP: false, causal: true, bias: true}}
cones: {type: da, params: {alpha: 0.01, beta: 0.00008, gamma: 0.5, tau_y_ms: 5.0, tau_z_ms: 60.0, n_y: 5.0, n_z: 2.0,
  filter_length: 10, learnable_params: false}}
stem: {out_channels: 8, conv_params: {type: standard, kernel_size: [1, 7, 7], padding: [0, 0, 0], aa_signal: true,
  use_weight_norm: true, keep_unit_norm: true}, norm_type: rms, act_type: splitrelu, pool_params: null}
blocks:
  - {conv_params: {type: standard, kernel_size: [3, 9, 9], aa_signal: true, use_weight_norm: true, keep_unit_norm: true,
     padding: [0, 0, 0]}, norm_type: grn, act_type: splitrelu, pool_params: {type: max, kernel_size: 2, stride: 2}}
  - {conv_params: {type: standard, kernel_size: [3, 5, 5], aa_signal: true, use_weight_norm: true, keep_unit_norm: true,
     padding: [0, 0, 0]}, norm_type: grn, act_type: splitrelu, pool_params: null}
concat: {type: concat, params: {behavior_dim: 42, feature_dim: 32}}
film: {type: film, params: {behavior_dim: 42, encoder_params: {type: mlp, dims: [64, 64], activation: gelu}}}
behavior_gru: {type: convgru, params: {behavior_dim: 42, feature_dim: 1, hidden_dim: 64, beh_emb_dim: 16}}
convgru: {type: convgru, params: {n_layers: 1, hidden_dim: 128, kernel_size: 3}}
none: {type: none, params: {}}
gaussian: {type: gaussian, params: {n_units: 8, bias: true, initial_std: 5.0, initial_mean_scale: 0.1}}
linear: {type: linear, params: {n_units: 8, bias: true}}
history: {type: mlp, params: {num_lags: 5, hidden_dims: [32, 10], act_type: relu, spectral_norm: true, bias: true}}
penalties:
  - {name: readout_sparsity, type: l1, lambda: 1.0e-7, apply_to: [readouts/features],
     schedule: {kind: warmup, start_epoch: 30}}
  - {name: decay_readout_std, type: proximal_clamp_positive, lambda: 1.5, apply_to: [readouts/std],
     schedule: {kind: linear_decay, start_epoch: 0, end_epoch: 50, start_lambda: 10.0}}
  - {name: exclude_means, type: l2, lambda: 0.0, apply_to: [readouts/mean], schedule: {kind: constant}}
apart: {name: apart, type: ortho, lambda: 1.0e-5, apply_to: [frontend/weight], schedule: {kind: constant}}
""")
DATASETS = yaml.safe_load("""
types: [backimage]
session_dir: sessions
sessions: [a_1, b_1]
sampling: {source_rate: 240, target_rate: 120}
keys_lags: {robs: 0, stim: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24],
            behavior: 0, dfs: 0}
transforms:
  stim: {source: stim, ops: [{pixelnorm: {}}, {unsqueeze: 1}], expose_as: stim}
  eye_vel:
    source: eyepos
    ops: [{diff: {axis: 0}}, {maxnorm: {}}, {symlog: {}},
          {temporal_basis: {num_cosine_funcs: 10, history_bins: 50, causal: false, peak_range_ms: [30, 200]}},
          {splitrelu: {split_dim: 1, trainable_gain: false}}]
    expose_as: behavior
    concatenate: true
  eye_pos: {source: eyepos, ops: [], expose_as: behavior, concatenate: true}
datafilters: {dfs: {ops: [{valid_nlags: {n_lags: 32}}, {missing_pct: {threshold: 45}}], expose_as: dfs}}
train_val_split: 0.8
seed: 1002
""")


def shipped(core, modulator="none", recurrent="none", *, frontend="learned", channels=(16, 32), more=(), **rest):
    """A model file like those of the zoo."""
    convnet = {"channels": list(channels), "stem_config": PARTS["stem"], "block_configs": PARTS["blocks"]}
    return copy.deepcopy({
        "model_type": "v1multi", "initial_input_channels": 1, "adapter": PARTS["adapter"],
        "frontend": PARTS[frontend], "convnet": {"type": core, "params": convnet}, "modulator": PARTS[modulator],
        "recurrent": PARTS[recurrent], "readout": PARTS["gaussian"], "output_activation": "softplus",
        "regularization": [*PARTS["penalties"], *more], **rest,
    })  # fmt: skip


ZOO = {
    "dense_none_none": shipped("densenet"),
    "dense_film_none": shipped("densenet", "film"),
    "dense_concat_convgru": shipped("densenet", "concat", "convgru"),
    "resnet_none_none": shipped("resnet"),
    "resnet_none_convgru": shipped("resnet", "none", "convgru"),
    "resnet_concat_none": shipped("resnet", "concat"),
    "resnet_concat_convgru": shipped("resnet", "concat", "convgru"),
    "resnet_film_convgru": shipped("resnet", "film", "convgru"),
    "wide3": shipped("resnet", "none", "convgru", channels=(96, 128, 192), more=[PARTS["apart"]]),
    "history": shipped("densenet", "concat", "convgru", model_type="v1multi_history", history_encoder=PARTS["history"]),
    "cones": shipped("resnet", "behavior_gru", frontend="cones", output_activation="none"),
    "modulator_only": {
        "model_type": "v1multi", "sampling_rate": 240, "adapter": PARTS["none"], "frontend": PARTS["none"],
        "convnet": PARTS["none"], "modulator": PARTS["behavior_gru"], "recurrent": PARTS["none"],
        "readout": PARTS["linear"], "output_activation": "none",
    },
}  # fmt: skip


def with_history(name):
    """The datasets of a model."""
    return DATASETS | (
        {"keys_lags": {**DATASETS["keys_lags"], "history": [1, 2, 3, 4, 5]}} if name == "history" else {}
    )


@pytest.mark.parametrize("name", ZOO)
def test_every_shipped_model_gives_a_run_file_that_check_accepts(name, tmp_path, capsys):
    files = [tmp_path / "model.yaml", tmp_path / "datasets.yaml"]
    for file, content in zip(files, (ZOO[name], with_history(name)), strict=True):
        file.write_text(yaml.safe_dump(content))
    out = tmp_path / "run.yaml"
    words = ["--lr_scheduler", "cosine_warmup", "--time_budget_minutes", "2880", "--enable_logging"]
    assert main(["import-config", "--from", "visioncore", "-o", str(out), *map(str, files), "--", *words]) == 0
    assert main(["check", str(out), "--no-data"]) == 0, capsys.readouterr().err
    lost = capsys.readouterr().out.partition("cannot be carried over:")[2].partition("carried over, but")[0]
    assert not [word for word in ("transforms", "datafilters", "sampling", "regularization", "budget") if word in lost]


@pytest.mark.parametrize("name", ["wide3", "modulator_only"])
def test_a_shipped_model_is_built_and_its_regularizers_find_their_parameters(name):
    content = copy.deepcopy(ZOO[name])
    if name == "wide3":
        content["convnet"]["params"] |= {"channels": [8, 8]}
        content["frontend"]["params"]["kernel_size"] = 6
        content["adapter"]["params"]["grid_size"] = 25
        content["recurrent"]["params"]["hidden_dim"] = 8
    run, _ = import_run(content, copy.deepcopy(DATASETS), ["--num_gpus", "1", "--precision", "32"])
    run["data"] = {"name": "synthetic_v1", "num_sessions": 2, "duration": 120, "size": 25, "side": ["behavior"],
                   "window": run["data"]["window"]}  # fmt: skip
    said = dry_build(resolve(run))
    names = [one["name"] for one in content.get("regularization", []) if one["lambda"]]
    assert list(run.get("regularizers", {})) == names
    assert set(names) <= set(said.split())


MODULES = (config, datasets, flags, layers, model, regularizers, transforms, weights)
TABLES: dict[str, set[str]] = {
    "stage": {*layers._STAGES.values()},
    "regularizer": {str(entry["name"]) for entry in regularizers._PENALTIES.values()},
}


def known():
    """Options of every component, by its name: there may be several of a name, of different kinds."""
    found: dict[str, set[str]] = {}
    for entry in discover().entries:
        options: type[Options] = resolve_address(entry.component.options or KINDS[entry.kind].options, entry.home)
        found.setdefault(entry.name, set()).update(options.model_fields)
    return found


def written(module: ModuleType):
    """Names of components in the source of a module, with the options that are written beside each."""
    assert module.__file__
    for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Dict):
            pairs = {key.value: value for key, value in zip(node.keys, node.values, strict=True)
                     if isinstance(key, ast.Constant)}  # fmt: skip
            name = pairs.pop("name", None)
            names = [part.value for part in ast.walk(name) if isinstance(part, ast.Constant)] if name else []
            if isinstance(name, ast.IfExp):  # a choice of two, and what decides it
                names = [part.value for part in (name.body, name.orelse) if isinstance(part, ast.Constant)]
            elif not isinstance(name, ast.Constant):
                names = []
            yield from ((str(one), {*map(str, pairs)}) for one in names if one)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "block":
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and ast.unparse(node.func.value) == "chain":
                yield str(first.value), {str(word.arg) for word in node.keywords if word.arg} | {"of", "channels"}


def test_every_component_that_the_import_can_write_exists_with_the_options_that_are_written():
    options = known()
    names = {kind: set(discover().names(kind)) for kind in TABLES}
    for kind, given in TABLES.items():
        assert given <= names[kind], kind
    found = [pair for module in MODULES for pair in written(module)]
    assert {"clamp", "downsample", "max_norm", "time_budget", "model_logging", "predictive_coding"} <= dict(
        found
    ).keys()
    for name, given in found:
        assert name in options, name
        assert given <= options[name] | {"id"}, (name, given - options[name])


@pytest.mark.parametrize(
    ("option", "words"), [("norm", layers._NORMS), ("activation", layers.ACTIVATIONS), ("pool", layers._POOLS)]
)
def test_every_word_of_a_table_is_one_that_the_stages_take(option, words):
    for word in sorted(set(words.values())):
        stage = {"name": "conv3d", "channels": [4], "kernel_size": [[1, 3, 3]], option: word}
        if word == "frame_group":
            stage["num_groups"] = 2
        if option == "pool":
            stage["pool_size"] = [2]
        run, _ = import_run(copy.deepcopy(ZOO["resnet_none_none"]), copy.deepcopy(DATASETS), [])
        run["model"]["core"] = [stage]
        assert resolve(run)
    run["model"]["core"] = [{**stage, option: "no such word"}]
    with pytest.raises(ConfigError, match=option):
        resolve(run)
