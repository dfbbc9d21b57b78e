"""Convolutional stages and frontends of VisionCore's model files as stages of the encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visioncore_neural.imports.ledger import Block
from visioncore_neural.legacy.words import ACTIVATIONS

__all__ = ["convolutional", "frontend", "temporal_basis"]

_STAGES = {
    "vanilla": "conv3d", "cnn": "conv3d", "conv": "conv3d", "resnet": "resnet3d", "densenet": "densenet3d"
}  # fmt: skip
_NORMS = {
    "none": "none", "batch": "batch", "instance": "frame_instance", "layer": "frame_layer", "rms": "frame_rms",
    "group": "frame_group", "grn": "frame_response",
}  # fmt: skip
_POOLS = {
    "max": "max",
    "maxpool": "max",
    "avg": "average",
    "avgpool": "average",
    "aablur": "blur",
    "learned": "learned",
}
_WIDTH = 3  # [time, height, width]


def frontend(block: Block) -> list[dict[str, Any]]:
    """Stages of a model file's `frontend`."""
    kind = str(block.take("type", "none"))
    params = block.block("params")
    made: list[dict[str, Any]] = []
    if kind == "learnable_temporal":
        made = [_learnable_temporal(params)]
    elif kind == "da":
        made = [_adaptation(params)]
    elif kind == "temporal_basis":
        made = [{"name": "temporal_basis", **temporal_basis(params)}]
    elif kind != "none":
        block.ledger.lost[block.place("type")] = (
            f"there is no frontend like {kind!r} here; choose stages of `model.core`"
        )
        return []
    params.close()
    block.close()
    return made


def _learnable_temporal(params: Block) -> dict[str, Any]:
    stage = {
        "name": "learnable_temporal",
        "kernel_size": int(params.take("kernel_size", 16)),
        "num_channels": int(params.take("num_channels", 4)),
        "init": str(params.take("init_type", "gaussian_derivatives")),
        "bias": bool(params.take("bias", False)),
    }
    if params.take("aa_signal", False):
        stage |= _window(params, "time")
        if "init_type" in params:
            params.idle("with `aa_signal` the filters stayed random; here they start as `init` says", "init_type")
    stage |= _weight_norm(params)
    params.take("causal")  # as every stage here
    if params.take("split_MP", False):
        params.lose("there is no split into magno- and parvocellular channels here", "split_MP")
    return stage


def _window(params: Block, axes: str) -> dict[str, Any]:
    params.take("aa_window")
    power = params.block("aa_window_kwargs")
    given = power.take("power")
    power.close()
    return {"window": axes} if given is None else {"window": axes, "window_power": float(given)}


def _weight_norm(params: Block) -> dict[str, Any]:
    used, unit = params.take("use_weight_norm", False), params.take("keep_unit_norm", False)
    return {"weight_norm": "unit" if unit else "gain"} if used else {}


def _adaptation(params: Block) -> dict[str, Any]:
    names = {
        "alpha": "alpha", "beta": "beta", "gamma": "gamma", "tau_y_ms": "tau_y_ms", "tau_z_ms": "tau_z_ms",
        "n_y": "order_y", "n_z": "order_z",
    }  # fmt: skip
    stage: dict[str, Any] = {
        "name": "dynamical_adaptation",
        **{ours: float(params.take(theirs)) for theirs, ours in names.items() if theirs in params},
    }
    if "filter_length" in params:
        stage["kernel_size"] = int(params.take("filter_length"))
    if "learnable_params" in params:
        stage["learn"] = bool(params.take("learnable_params"))
    return stage


def temporal_basis(params: Block) -> dict[str, Any]:
    """Options of a temporal basis, of a stage or a preparation."""
    stage: dict[str, Any] = {
        "kernel_size": int(params.take("history_bins", 32)),
        "num_deltas": int(params.take("num_delta_funcs", 0)),
        "num_cosines": int(params.take("num_cosine_funcs", 10)),
        "spacing": "log" if params.take("log_spacing", True) else "linear",
        "orthogonalize": bool(params.take("orthogonalize", False)),
    }
    stage["peaks_ms"] = [float(value) for value in params.take("peak_range_ms", [5, 100])]
    stage["normalize"] = "norm" if params.take("normalize", True) or stage["orthogonalize"] else "none"
    params.change("milliseconds were counted in bins of 5 ms whatever the frame rate; here they are milliseconds",
                  "bin_size_ms", "peak_range_ms")  # fmt: skip
    params.lose("a fixed basis is followed by no norm here; add a stage", "batch_norm")
    params.take("causal")
    params.take("chomp")
    return stage


def convolutional(block: Block) -> list[dict[str, Any]]:
    """Stages of a model file's `convnet`: the stem, then a stage for each run of blocks with the same options."""
    kind = str(block.take("type", "none"))
    params = block.block("params")
    if kind == "none":
        return []
    if kind not in _STAGES:
        block.ledger.lost[block.place("type")] = f"there is no core like {kind!r} here; choose stages of `model.core`"
        return []
    params.idle("it is not read", "checkpointing", "dim")
    params.lose("stages end in their own nonlinearity", "final_activation")
    stages: list[dict[str, Any]] = []
    stem = params.take("stem_config")
    if stem:
        inner = Block(stem, params.place("stem_config"), block.ledger)
        stages.append(_layer("conv3d", int(inner.take("out_channels", 8)), inner) | {"id": "stem"})
    configs = params.take("block_configs", [])
    name = _STAGES[kind]
    for number, channels in enumerate(params.take("channels", [])):
        given = configs[min(number, len(configs) - 1)] if configs else {}
        layer = _layer(name, int(channels), Block(given, params.place(f"block_configs.{number}"), block.ledger))
        stages.append(layer | {"id": f"block{number}"})
    if name == "resnet3d":
        after = params.take("resnet_post_add_activation")
        for stage in stages:
            if stage["name"] == name and after is not None:
                stage["activate_sum"] = after not in (False, "none")
        block.ledger.changed[block.place("type")] = "a residual block has two convolutions here, one in VisionCore"
    else:
        params.idle("only residual blocks have it", "resnet_post_add_activation")
    params.close()
    block.close()
    return _merged(stages)


def _merged(stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join neighbours that differ in channels, kernel, stride and pooling factor only."""
    listed = ("channels", "kernel_size", "stride", "pool_size")
    merged: list[dict[str, Any]] = []
    for stage in stages:
        same = bool(merged) and all(
            merged[-1].get(key) == stage.get(key) for key in {*merged[-1], *stage} - {*listed, "id"}
        )
        if same and merged[-1]["id"] != "stem" and set(merged[-1]) == set(stage):
            for key in listed:
                if key in stage:
                    merged[-1][key] = [*merged[-1][key], *stage[key]]
        else:
            merged.append(stage)
    return merged


def _layer(name: str, channels: int, block: Block) -> dict[str, Any]:
    conv, pool = block.block("conv_params"), block.block("pool_params")
    stage: dict[str, Any] = {"name": name, "channels": [channels], "kernel_size": [_kernel(conv)]}
    if name != "densenet3d":
        stage["stride"] = [_stride(conv)]
    else:
        conv.lose("layers of a densenet do not step over pixels here", "stride")
    stage |= _convolution(conv) | _norm(block)
    stage["activation"] = _word(block, "act_type", "none", ACTIVATIONS, "identity")
    block.lose("nonlinearities have no options here", "act_params")
    if block.take("dropout"):
        stage["dropout"] = float(block.take("dropout"))
    block.take("causal")
    block.lose("the order is fixed: convolution, norm, nonlinearity, dropout, pooling", "order")
    stage |= _pool(pool)
    for inner in (conv, pool, block):
        inner.close()
    return stage


def _kernel(conv: Block) -> list[int]:
    given = conv.take("kernel_size", 3)
    kernel = [int(given)] * _WIDTH if isinstance(given, int) else [int(size) for size in given]
    odd = [kernel[0], *(size + 1 - size % 2 for size in kernel[1:])]
    if odd != kernel:
        conv.change(f"even in space, which shifts the picture: {odd} instead", "kernel_size")
    return odd


def _stride(conv: Block) -> int:
    given = conv.take("stride", 1)
    steps = [given] if isinstance(given, int) else list(given)
    if len(steps) == _WIDTH and steps[0] != 1:
        conv.change("there is no step in time here", "stride")
    return int(steps[-1])


def _convolution(conv: Block) -> dict[str, Any]:
    stage: dict[str, Any] = {}
    kind = conv.take("type", "standard")
    if kind == "depthwise":
        stage["separable"] = "depthwise"
    elif kind != "standard":
        conv.lose("kernels are whole, of space and time apart, or depthwise here", "type")
    if conv.take("aa_signal", False):
        stage |= _window(conv, "space_time")
    stage |= _weight_norm(conv)
    conv.change("time is never padded, space always, with what lies at the border", "padding", "padding_mode")
    for name, usual in (("dilation", 1), ("groups", 1), ("weight_norm_dim", 0)):
        if conv.take(name, usual) not in (usual, [usual] * _WIDTH):
            conv.lose("there is no such option here", name)
    conv.take("bias")  # follows from the norm
    return stage


def _norm(block: Block) -> dict[str, Any]:
    params = block.block("norm_params")
    norm = _word(block, "norm_type", "none", _NORMS, "frame_layer")
    params.lose("norms have no such option here", "eps", "affine", "target_dim")
    groups = params.take("num_groups")
    params.close()
    return {"norm": norm, "num_groups": int(groups or 1)} if norm == "frame_group" else {"norm": norm}


def _pool(pool: Block) -> dict[str, Any]:
    kind = str(pool.take("type", "none")).lower()
    size = pool.take("kernel_size", pool.take("stride", 2))
    pool.take("stride")
    if kind == "none":
        return {}
    if kind == "se_pool":
        return {"squeeze": int(pool.take("r", 16))}
    if kind not in _POOLS:
        pool.lose(f"there is no pooling like {kind!r} here", "type")
        return {}
    pool.change("time was pooled too; here only space is", "kernel_size")
    pool.lose("poolings have no such option here", "padding", "use_soft", "chan_window", "spatial_kernel")
    return {"pool": _POOLS[kind], "pool_size": [int(size if isinstance(size, int) else size[-1])]}


def _word(block: Block, name: str, usual: str, words: Mapping[str, str], otherwise: str) -> str:
    """Translate a word; one without a counterpart is noted, and `otherwise` stands for it."""
    given = str(block.take(name, usual)).lower()
    if given not in words:
        block.change(f"there is no {given!r} here; {otherwise!r} stands in for it", name)
    return words.get(given, otherwise)
