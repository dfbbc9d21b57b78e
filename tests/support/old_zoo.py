"""The eleven model files that VisionCore ships, each with its own parts and made small: what old checkpoints are of."""

from __future__ import annotations

import copy

__all__ = ["LAGS", "ZOO"]

LAGS = 9
UNIT_NORM = {"use_weight_norm": True, "keep_unit_norm": True, "aa_signal": True}
FRONTEND = {
    "type": "learnable_temporal",
    "params": {
        "kernel_size": 5, "num_channels": 4, "init_type": "gaussian_derivatives", "split_MP": False, "aa_signal": True,
        "aa_window": "hann", "aa_window_kwargs": {"power": 0.25}, "use_weight_norm": False, "keep_unit_norm": False,
        "causal": True, "bias": False,
    },
}  # fmt: skip
STEM = {
    "out_channels": 3,
    "conv_params": {
        "type": "standard", "kernel_size": [1, 5, 5], "padding": [0, 0, 0], "stride": 1, "dilation": [1, 1, 1],
        "weight_norm_dim": 0, **UNIT_NORM,
    },
    "norm_type": "rms", "act_type": "splitrelu", "pool_params": None, "dropout": 0.0,
    "order": ["pad", "conv", "norm", "act"],
}  # fmt: skip
POOLED = {
    "conv_params": {
        "type": "standard", "kernel_size": [3, 5, 5], "aa_window": "hann", "aa_window_kwargs": {"power": 1.0},
        "padding": [0, 0, 0], **UNIT_NORM,
    },
    "norm_type": "grn", "act_type": "splitrelu", "dropout": 0.0,
    "pool_params": {"type": "max", "kernel_size": 2, "stride": 2},
}  # fmt: skip
LAST = {
    "conv_params": {"type": "standard", "kernel_size": [3, 3, 3], "padding": [0, 0, 0], **UNIT_NORM},
    "norm_type": "grn", "act_type": "splitrelu", "dropout": 0.0, "pool_params": None,
}  # fmt: skip
STD = {"name": "decay_readout_std", "type": "proximal_clamp_positive", "lambda": 1.5, "apply_to": ["readouts/std"],
       "schedule": {"kind": "linear_decay", "start_epoch": 0, "end_epoch": 50, "start_lambda": 10.0}}  # fmt: skip
REGULARIZATION = [
    {"name": "readout_sparsity", "type": "l1", "lambda": 1e-7, "apply_to": ["readouts/features"],
     "schedule": {"kind": "warmup", "start_epoch": 30}},
    STD,
    {"name": "exclude_means_from_wd", "type": "l2", "lambda": 0.0, "apply_to": ["readouts/mean"],
     "schedule": {"kind": "constant"}},
]  # fmt: skip
APART = {"name": "frontend_ortho", "type": "ortho", "lambda": 1e-5, "apply_to": ["frontend/weight"],
         "schedule": {"kind": "constant"}}  # fmt: skip
CONCAT = {"type": "concat", "params": {"behavior_dim": 42, "feature_dim": 32}}
FILM = {"type": "film", "params": {"behavior_dim": 42, "feature_dim": 32}}
GRU = {"type": "convgru", "params": {"n_layers": 1, "hidden_dim": 4, "kernel_size": 3}}
NONE = {"type": "none", "params": {}}


def variant(
    kind, modulator, recurrent, *, stem=None, frontend=None, blocks=(POOLED, LAST), channels=(2, 3), grid=19, **more
):
    """A model file."""
    return copy.deepcopy({
        "model_type": "v1multi",
        "initial_input_channels": 1,
        "adapter": {"type": "adapter", "params": {"init_sigma": 1.0, "grid_size": grid, "transform": "scale"}},
        "frontend": {"type": "learnable_temporal", "params": {**FRONTEND["params"], **(frontend or {})}},
        "convnet": {"type": kind, "params": {
            "channels": list(channels), "checkpointing": False, "stem_config": {**STEM, **(stem or {})},
            "block_configs": list(blocks),
        }},
        "modulator": modulator,
        "recurrent": recurrent,
        "readout": {"type": "gaussian",
                    "params": {"n_units": 8, "bias": True, "initial_std": 0.5, "initial_mean_scale": 0.1}},
        "output_activation": "softplus",
        **more,
    })  # fmt: skip


PLAIN_WINDOW = {"aa_window": "hann", "aa_window_kwargs": {}}
PADDED = {
    "conv_params": {"type": "standard", "kernel_size": [3, 5, 5], "padding": [1, 3, 3], "stride": 2},
    "norm_type": "rms", "norm_params": {"affine": True}, "act_type": "silu", "dropout": 0.0, "pool_params": None,
}  # fmt: skip
CONES = variant(
    "resnet",
    {"type": "convgru", "params": {
        "behavior_dim": 42, "feature_dim": 128, "hidden_dim": 4, "beh_emb_dim": 3, "kernel_size": 3,
        "use_layer_norm": True, "learnable_h0": True, "use_depthwise": False, "use_grouped": False, "num_groups": 1,
        "use_residual": True, "grad_clip_val": 10.0,
    }},
    NONE,
    sampling_rate=240,
    output_activation="none",
    regularization=REGULARIZATION,
)  # fmt: skip
CONES["frontend"] = {"type": "da", "params": {
    "alpha": 0.01, "beta": 0.00008, "gamma": 0.5, "tau_y_ms": 5.0, "tau_z_ms": 60.0, "n_y": 5.0, "n_z": 2.0,
    "filter_length": 6, "learnable_params": False,
}}  # fmt: skip
CONES["convnet"]["params"] = {
    "final_activation": "none", "channels": [2, 4, 4], "dim": 3, "checkpointing": False,
    "block_configs": [
        PADDED,
        {**PADDED, "conv_params": {**PADDED["conv_params"], "stride": 1},
         "pool_params": {"type": "aablur", "stride": 2, "r": 2, "use_soft": True}},
        {**PADDED, "conv_params": {"type": "standard", "kernel_size": [3, 3, 3], "padding": [2, 2, 2], "dilation": 2,
                                   "stride": 1},
         "pool_params": {"type": "aablur", "stride": 1, "r": 4, "use_soft": True}},
    ],
}  # fmt: skip
BLIND = {
    "model_type": "v1multi", "sampling_rate": 240, "initial_input_channels": 1, "adapter": NONE, "frontend": NONE,
    "convnet": NONE,
    "modulator": {"type": "convgru", "params": {
        "behavior_dim": 42, "feature_dim": 1, "hidden_dim": 5, "beh_emb_dim": 3, "kernel_size": 3}},
    "recurrent": NONE,
    "readout": {"type": "linear", "params": {"n_units": 8, "bias": True}},
    "output_activation": "none",
}  # fmt: skip

ZOO = {
    "resnet_none_none": variant("resnet", NONE, NONE, regularization=REGULARIZATION),
    "resnet_none_convgru": variant("resnet", NONE, GRU, regularization=REGULARIZATION),
    "resnet_concat_convgru": variant("resnet", CONCAT, GRU),
    "resnet_film_none": variant(
        "resnet", FILM, NONE, frontend={"split_MP": True, **PLAIN_WINDOW},
        stem={"conv_params": {**STEM["conv_params"], "kernel_size": [1, 3, 3]}},
    ),
    "resnet_wide3_none_convgru": variant(
        "resnet", NONE, GRU, blocks=(POOLED, LAST, {**LAST, "norm_type": "grn", "offset": 2.0}), channels=(2, 3, 4),
        grid=23,
        regularization=[*REGULARIZATION, APART],
    ),
    "dense_concat_convgru": variant(
        "densenet", CONCAT, GRU,
        frontend={"init_type": "biphasic", "use_weight_norm": True, "keep_unit_norm": True, "bias": True},
    ),
    "dense_none_convgru": variant(
        "densenet", NONE, GRU, stem={"norm_type": "grn"}, frontend={"bias": True}, regularization=REGULARIZATION
    ),
    "dense_film_none": variant(
        "densenet", FILM, NONE, stem={"norm_type": "grn"}, frontend={"bias": True, **PLAIN_WINDOW},
        blocks=({**POOLED, "dropout": 0.1}, {**LAST, "dropout": 0.1}), regularization=REGULARIZATION[:2],
    ),
    "dense_concat_convgru_history": variant(
        "densenet", CONCAT, GRU, stem={"norm_type": "grn"}, frontend={"init_type": "biphasic", "bias": True},
        model_type="v1multi_history",
        history_encoder={"type": "mlp", "params": {
            "num_lags": 5, "hidden_dims": [4, 3], "act_type": "relu", "spectral_norm": True, "bias": True,
            "dropout": 0.0, "output_activation": False,
        }},
        regularization=REGULARIZATION,
    ),
    "modulator_only_convgru": BLIND,
    "cones_res_small": CONES,
}  # fmt: skip
