"""A VisionCore model file as the blocks `model` and `regularizers` of a run file."""

from __future__ import annotations

from typing import Any

from visioncore_neural.imports.layers import convolutional, frontend
from visioncore_neural.imports.ledger import Block
from visioncore_neural.imports.regularizers import regularizers_of
from visioncore_neural.options.readout import GaussianOptions

__all__ = ["Imported", "model_of"]

Imported = dict[str, Any]


def model_of(block: Block, num_lags: int) -> Imported:
    """Blocks `model`, and `regularizers` and `no_decay` where there are some.

    Parameters
    ----------
    block
        The model file.
    num_lags
        Frames of the stimulus that the data served.
    """
    kind = str(block.take("model_type", "v1multi"))
    if kind not in ("v1", "v1multi", "v1multi_history"):
        block.lose(f"there is no model like {kind!r} here: the encoder stands in for it", "model_type")
    block.change("the frame rate is a fact of the data here", "sampling_rate")
    block.change("channels are a fact of the data here", "initial_input_channels")
    core = [*frontend(block.block("frontend")), *convolutional(block.block("convnet"))]
    weight = block.take("lambda_pred")
    modulator = _modulator(block.block("modulator"), weight)
    if weight is not None and (modulator or {}).get("name") != "predictive_coding":
        block.idle("no modulator that is there sets a prediction error", "lambda_pred")
    seen = sum(_history(stage) for stage in core)
    model: Imported = {
        "name": "encoder",
        "adapter": _adapter(block.block("adapter")),
        "core": core,
        "modulator": modulator,
        "recurrent": _recurrent(block.block("recurrent"), max(1, num_lags - 1 - seen)),
        "readout": _readout(block.block("readout")),
        "activation": _output(block),
        "baseline": _baseline(block.block("baseline")),
        "history": _responses(block.block("history_encoder")),
    }
    if not core and model["adapter"] is None:
        model["stimulus"] = False
        model["readout"] = "pooled"
    result: Imported = {"model": {key: value for key, value in model.items() if value not in (None, [])}}
    result |= regularizers_of(block, GaussianOptions().min_std)
    block.close()
    return result


def _history(stage: Imported) -> int:
    size = stage.get("kernel_size", 1)
    if isinstance(size, int):
        return size - 1
    blocks = 2 if stage["name"] == "resnet3d" else 1
    return sum(blocks * (kernel[0] - 1) for kernel in size)


def _adapter(block: Block) -> Imported | None:
    kind, params = block.take("type", "none"), block.block("params")
    if kind == "none":
        return None
    transform = str(params.take("transform", "scale"))
    made = {
        "name": "affine",
        "grid_size": int(params.take("grid_size", 51)),
        "transform": transform,
        "init_sigma": float(params.take("init_sigma", 1.0)),
        **({"init_scale": 0.693} if transform == "scale" else {}),
    }
    params.change("the width of the blur learns here, and the blur moves nothing", "init_sigma")
    params.close()
    block.close()
    return made


def _modulator(block: Block, weight: Any) -> Imported | None:
    kind, params = str(block.take("type", "none")), block.block("params")
    if kind == "none":
        return None
    params.idle("it is overwritten by the core's channels", "feature_dim")
    params.change("taken from the data, and checked", "behavior_dim")
    encoder = params.block("encoder_params")
    sizes = [int(size) for size in encoder.take("dims", [64, 64])]
    activation = str(encoder.take("activation", "gelu")).lower()
    encoder.take("type")
    encoder.lose("the perceptron has no such option here", "bias", "residual", "dropout", "last_layer_activation")
    made: Imported | None
    if kind == "concat":
        made = {"name": "concat", "hidden": sizes[:-1], "num_channels": sizes[-1], "activation": activation}
    elif kind == "film":
        made = {"name": "film", "hidden": sizes, "activation": activation}
        block.ledger.changed[block.place("type")] = "it starts as the identity here"
    elif kind in ("convgru", "pc"):
        size = params.take("hidden_dim")
        made = {
            "name": "conv_gru" if kind == "convgru" else "predictive_coding",
            "num_embedding": int(params.take("beh_emb_dim", 16)),
            "kernel_size": int(params.take("kernel_size", 3)),
            **({} if size is None else {"hidden_channels": int(size)}),
            **({"weight": 0.1 if weight is None else float(weight)} if kind == "pc" else {}),
        }
    else:
        made = None
        block.ledger.lost[block.place("type")] = f"there is no modulator like {kind!r}; see `visioncore plugins`"
    for inner in (encoder, params, block):
        inner.close()
    return made


def _recurrent(block: Block, burn_in: int) -> list[Imported]:
    kind, params = str(block.take("type", "none")), block.block("params")
    if kind == "none":
        return []
    if kind not in ("convgru", "gru", "lstm"):
        block.ledger.lost[block.place("type")] = f"there is no recurrent layer like {kind!r} here"
        return []
    name = "conv_gru" if kind == "convgru" else kind
    size, layers = int(params.take("hidden_dim", 128)), int(params.take("n_layers", 1))
    stage: Imported = {"name": name, "hidden_channels": size, "burn_in": burn_in, "unroll": "per_prediction"}
    if name == "conv_gru":
        stage["kernel_size"] = int(params.take("kernel_size", 3))
    else:
        block.ledger.changed[block.place("type")] = "its weights were made in the first call and never trained"
    params.close()
    block.close()
    return [stage | ({"id": f"layer{number}"} if layers > 1 else {}) for number in range(layers)]


def _readout(block: Block) -> Imported:
    kind, params = str(block.take("type", "gaussian")), block.block("params")
    params.idle("it is always the number of units of the session", "n_units")
    params.take("bias")
    made: Imported = {"name": "pooled"}
    if kind == "gaussian":
        made = {
            "name": "gaussian",
            "init_std": float(params.take("initial_std", 5.0)),
            "init_mean_scale": float(params.take("initial_mean_scale", 0.1)),
            "rotate": True,
        }
    elif kind != "linear":
        block.ledger.lost[block.place("type")] = f"there is no readout like {kind!r} here; 'pooled' stands in for it"
    params.close()
    block.close()
    return made


def _output(block: Block) -> str:
    given = str(block.take("output_activation", "softplus")).lower()
    known = {"identity": "exp", "none": "exp", "softplus": "softplus"}
    if given not in known:
        block.change(f"there is no output like {given!r} here; softplus stands in for it", "output_activation")
    return known.get(given, "softplus")


def _baseline(block: Block) -> float | None:
    enabled, value = block.take("enabled", False), float(block.take("init_value", 0.001))
    block.change("it is always positive here, by one rule", "activation")
    block.close()
    return value if enabled else None


def _responses(block: Block) -> Imported | None:
    kind, params = str(block.take("type", "none")), block.block("params")
    if kind == "none":
        return None
    params.lose("the perceptron has no such option here", "spectral_norm", "bias", "dropout", "output_activation")
    made = {
        "num_lags": int(params.take("num_lags", 5)),
        "hidden": [int(size) for size in params.take("hidden_dims", [32, 10])],
        "activation": str(params.take("act_type", "gelu")).lower(),
    }
    params.close()
    block.close()
    return made
