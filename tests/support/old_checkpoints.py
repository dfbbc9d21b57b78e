"""Checkpoints of VisionCore with random weights, by the names that it gave them."""

from __future__ import annotations

import argparse
import copy

import torch

UNITS, GRID = 3, 9
STEM = {
    "out_channels": 2,
    "conv_params": {
        "type": "standard", "kernel_size": [1, 3, 3], "padding": [0, 0, 0], "use_weight_norm": True, "aa_signal": True,
    },
    "norm_type": "none", "act_type": "splitrelu", "order": ["pad", "conv", "norm", "act"],
}  # fmt: skip
BLOCKS = [
    {"conv_params": {"kernel_size": [2, 5, 5], "aa_signal": True}, "norm_type": "batch", "act_type": "relu"},
    {"conv_params": {"kernel_size": [2, 1, 1], "bias": True}, "norm_type": "batch", "act_type": "relu"},
]
WHOLE = {
    "model_type": "v1multi",
    "adapter": {"type": "adapter", "params": {"grid_size": GRID, "transform": "scale"}},
    "frontend": {
        "type": "learnable_temporal",
        "params": {
            "kernel_size": 5, "num_channels": 2, "aa_signal": True, "aa_window": "hann",
            "aa_window_kwargs": {"power": 0.25}, "bias": False, "init_type": "biphasic",
        },
    },
    "convnet": {"type": "resnet", "params": {"channels": [4, 3], "stem_config": STEM, "block_configs": BLOCKS}},
    "modulator": {"type": "film", "params": {"behavior_dim": 2, "encoder_params": {"type": "mlp", "dims": [5, 4]}}},
    "recurrent": {"type": "none"},
    "readout": {"type": "gaussian", "params": {"bias": True}},
    "output_activation": "softplus",
    "baseline": {"enabled": True, "activation": "relu", "init_value": 0.001},
}  # fmt: skip


class Weights:
    """Random weights by VisionCore's names."""

    def __init__(self, *, apart=True):
        self.apart = apart
        self.draws = torch.Generator().manual_seed(1)
        self.made = {}

    def put(self, name, *shape, scale=0.5):
        self.made[name] = torch.randn(shape, generator=self.draws) * scale

    def conv(self, name, shape, params):
        if params.get("use_weight_norm"):
            self.put(f"{name}.parametrizations.weight.original", *shape)
            self.put(f"{name}.parametrizations.weight.0.v", *shape)
            self.put(f"{name}.parametrizations.weight.0.g", shape[0])
        elif params.get("aa_signal"):
            self.put(f"{name}.parametrizations.weight.original", *shape)
        else:
            self.put(f"{name}.weight", *shape)

    def block(self, name, block, channels, out):
        params, norm = block["conv_params"], f"{name}.components.norm"
        self.conv(f"{name}.components.conv.conv", (out, channels, *params["kernel_size"]), params)
        if params.get("bias", block["norm_type"] == "none"):
            self.put(f"{name}.components.conv.conv.bias", out)
        if block["norm_type"] == "batch":
            for part in ("weight", "bias", "running_mean"):
                self.put(f"{norm}.{part}", out)
            self.made[f"{norm}.running_var"] = torch.rand(out, generator=self.draws) + 0.5
            self.made[f"{norm}.num_batches_tracked"] = torch.tensor(7)
        elif block["norm_type"] in ("rms", "grn"):
            self.put(f"{norm}.gamma", out)
            self.put(f"{norm}.beta", out)
            if block["norm_type"] == "grn":
                self.made[f"{norm}.offset"] = torch.tensor([block.get("offset", 0.3)])
        elif block["norm_type"] == "group":
            self.put(f"{norm}.weight", out)
            self.put(f"{norm}.bias", out)
        pool = block.get("pool_params") or {}
        if pool.get("type") in ("aablur", "se_pool"):
            hidden = out // pool.get("r", 8)
            for place, shape in ((1, (hidden, out)), (3, (out, hidden))):
                self.put(f"{name}.components.pool.se.{place}.weight", *shape, 1, 1, 1)
                self.put(f"{name}.components.pool.se.{place}.bias", shape[0])
            if pool["type"] == "aablur":
                self.made[f"{name}.components.pool.blur"] = torch.ones(1, 1, 3, 3) / 16
        if block["act_type"] == "splitrelu":
            self.made[f"{name}.components.act.ongain"] = torch.ones(1)
            out *= 2
        return out

    def shared(self, config):
        channels = 1
        front = config.get("frontend", {})
        if front.get("type") == "learnable_temporal":
            params = front["params"]
            channels = params["num_channels"]
            self.conv("frontend.temporal_conv.conv", (channels, 1, params["kernel_size"], 1, 1), params)
            if params.get("bias"):
                self.put("frontend.temporal_conv.conv.bias", channels)
        if front.get("type") == "da":
            for name in ("alpha", "beta", "gamma", "tau_y_ms", "tau_z_ms", "n_y", "n_z"):
                self.made[f"frontend.{name}"] = torch.rand((), generator=self.draws) + 0.5
            for name in ("Ky", "Kz"):
                self.put(f"frontend.{name}_filter", 1, 1, front["params"]["filter_length"])
                self.made[f"frontend.{name}_filter"].abs_()
        channels = self.convnet(config.get("convnet", {}), channels)
        channels = self.behavior(config, channels)
        if config.get("recurrent", {}).get("type") == "convgru":
            params = config["recurrent"]["params"]
            channels = self.gru("recurrent", channels, params["hidden_dim"], params["kernel_size"])
        return channels

    def convnet(self, config, channels):
        params, number = config.get("params", {}), 0
        if "stem_config" in params:
            stem = params["stem_config"]
            # Earlier versions kept it as the first of the layers.
            name, number = ("convnet.stem", 0) if self.apart else ("convnet.layers.0", 1)
            channels = self.block(name, stem, channels, stem["out_channels"])
        for out, block in zip(params.get("channels", ()), params.get("block_configs", ()), strict=True):
            residual = config["type"] == "resnet"
            name = f"convnet.layers.{number}"
            made = self.block(f"{name}.main_block" if residual else name, block, channels, out)
            steps = block["conv_params"].get("stride", 1), (block.get("pool_params") or {}).get("stride", 1)
            if residual and (made != channels or steps != (1, 1)):
                self.put(f"{name}.shortcut.weight", made, channels, 1, 1, 1)
            channels, number = (channels + made if config["type"] == "densenet" else made), number + 1
        return channels

    def behavior(self, config, channels):
        kind, params = config.get("modulator", {}).get("type"), config.get("modulator", {}).get("params", {})
        if kind in ("concat", "film"):
            encoder = params.get("encoder_params", {"dims": [64, 64]})
            size, last = 2, len(encoder["dims"]) - 1
            for number, out in enumerate(encoder["dims"]):
                activated = number < last or encoder.get("last_layer_activation")
                name = f"modulator.encoder.mlp.{number}" + (".linear" if activated else "")
                self.put(f"{name}.weight", out, size)
                self.put(f"{name}.bias", out)
                size = out
            if kind == "concat":
                return channels + size
            for part in ("scale", "shift"):
                self.put(f"modulator.{part}_layer.weight", channels, size)
                self.put(f"modulator.{part}_layer.bias", channels)
        elif kind == "convgru":
            self.put("modulator.beh_emb.weight", params["beh_emb_dim"], 2)
            self.put("modulator.beh_emb.bias", params["beh_emb_dim"])
            channels = self.gru(
                "modulator.gru", channels + params["beh_emb_dim"], params["hidden_dim"], params["kernel_size"]
            )
            self.put("modulator.output_proj.weight", channels, channels, 1, 1)
            self.put("modulator.output_proj.bias", channels)
        return channels

    def gru(self, name, channels, hidden, size):
        for gate in ("update", "reset", "out"):
            self.put(f"{name}.cells.0.{gate}_gate.weight", hidden, channels + hidden, size, size, scale=0.3)
            self.put(f"{name}.cells.0.{gate}_gate.bias", hidden)
        return hidden

    def session(self, config, channels):
        kept, self.made = self.made, {}
        if config.get("adapter", {}).get("type") == "adapter":
            self.put("adapter.log_sigma")
            if config["adapter"]["params"]["transform"] == "scale":
                self.put("adapter.log_scale", 2)
            else:
                self.made["adapter.affine"] = torch.eye(2, 3) + 0.3 * torch.randn(2, 3, generator=self.draws)
        if config["readout"]["type"] == "gaussian":
            self.put("readout.features.weight", UNITS, channels, 1, 1)
            self.put("readout.bias", UNITS)
            self.put("readout.mean", UNITS, 2)
            self.put("readout.theta", UNITS)
            self.made["readout.std"] = torch.rand(UNITS, 2, generator=self.draws) + 0.3
        else:
            self.put("readout.fc.weight", UNITS, channels)
            self.put("readout.fc.bias", UNITS)
            self.made["readout.bias"] = self.made["readout.fc.bias"]
        if config.get("model_type") == "v1multi_history":
            params = config["history_encoder"]["params"]
            size = params["num_lags"] * UNITS
            for number, out in enumerate([*params["hidden_dims"], UNITS]):
                name = f"history.mlp.{number}" + (".linear" if number < len(params["hidden_dims"]) else "")
                if params["spectral_norm"]:
                    for part, shape in (("original", (out, size)), ("0._u", (out,)), ("0._v", (size,))):
                        self.put(f"{name}.parametrizations.weight.{part}", *shape)
                else:
                    self.put(f"{name}.weight", out, size)
                self.put(f"{name}.bias", out)
                size = out
        if config.get("baseline", {}).get("enabled"):
            self.made["baseline"] = torch.tensor([0.2, -0.1, 0.3])
        made, self.made = self.made, kept
        return made


LISTS = {"adapter": "adapters", "readout": "readouts", "baseline": "baselines", "history": "spike_history"}


def old_file(path, config, num_sessions=2, prefix="model.", hyper="mapping", *, apart=True):
    """Write a checkpoint of VisionCore; return its weights of each session, by their place."""
    weights = Weights(apart=apart)
    channels = weights.shared(config)
    state, own = {prefix + name: value for name, value in weights.made.items()}, []
    for place in range(num_sessions):
        session = weights.session(config, channels)
        own.append({name: value.double() for name, value in {**weights.made, **session}.items()})
        for name, value in session.items():
            part, dot, rest = name.partition(".")
            listed = f"{LISTS[part]}.{place}{dot}{rest}" if num_sessions > 1 or part == "history" else name
            state[prefix + listed] = value
    kept = {"model_config_dict": copy.deepcopy(config), "lr": 1e-3}
    hypers = {"mapping": kept, "namespace": argparse.Namespace(**kept), "none": {}}
    torch.save({"state_dict": state, "hyper_parameters": hypers[hyper], "epoch": 3}, path)
    return own
