"""Frontend and convolutions of a VisionCore model file, in the words of the stage `visioncore`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visioncore_neural.legacy.refusals import Refusals, block_of, triple
from visioncore_neural.legacy.words import ACTIVATIONS
from visioncore_neural.options.old_core import OldFrontendOptions, OldLayerOptions, OldPoolOptions

__all__ = ["Convnet", "Frontend", "Layer", "convnet_of", "frontend_of"]

_JOINS = {"none": "plain", "vanilla": "plain", "cnn": "plain", "conv": "plain", "resnet": "residual",
          "densenet": "dense"}  # fmt: skip
_NORMS = {
    "none": "none", "batch": "batch", "rms": "pixel_rms", "layer": "pixel_layer", "grn": "window_response",
    "instance": "window_instance", "group": "window_group",
}  # fmt: skip
_ACTIVATION_PARAMS = {"split_dim": 1, "negative_slope": 0.01, "approximate": "none"}
_POOLS = {"max": "max", "avg": "average", "adaptivemax": "adaptive_max", "adaptiveavg": "adaptive_average",
          "aablur": "blurred_soft", "se_pool": "soft"}  # fmt: skip
_ORDER = ("pad", "conv", "norm", "act", "dropout", "pool")


@dataclass(frozen=True)
class Frontend:
    """A frontend, and the power of the window over its filters, None without one."""

    options: OldFrontendOptions
    window_power: float | None


@dataclass(frozen=True)
class Layer:
    """A layer, and the power of the window over its kernels, None without one."""

    options: OldLayerOptions
    window_power: float | None


@dataclass(frozen=True)
class Convnet:
    """Layers and how they are joined."""

    stem: Layer | None
    layers: tuple[Layer, ...]
    join: str
    sum_activation: str


def frontend_of(content: Mapping[str, Any], refusals: Refusals) -> Frontend | None:
    """Frontend of a model file; None without one."""
    kind = refusals.word(content, "frontend", "none", ("none", "learnable_temporal", "da"))
    params, key = block_of(block_of(content, "frontend"), "params"), "frontend.params"
    if kind == "da":
        if params.get("learnable_params"):
            refusals.add(f"{key}.learnable_params", "its filters are in no file, only what they were computed from")
        return Frontend(
            OldFrontendOptions(kind="adaptation", kernel_size=int(params.get("filter_length") or 200)), None
        )
    if kind != "learnable_temporal":
        return None
    channels, split = int(params.get("num_channels") or 6), bool(params.get("split_MP"))
    if split and channels % 2:
        refusals.add(f"{key}.num_channels", "half of the filters see each part of a picture that is split")
        split = False
    options = OldFrontendOptions(
        kind="temporal",
        kernel_size=int(params.get("kernel_size") or 16),
        num_channels=channels,
        bias=bool(params.get("bias")),
        split=split,
    )
    return Frontend(options, _window(params, key, refusals))


def convnet_of(content: Mapping[str, Any], refusals: Refusals) -> Convnet:
    """Convolutions of a model file."""
    kind = refusals.word(content, "convnet", "none", tuple(_JOINS))
    params, key = block_of(block_of(content, "convnet"), "params"), "convnet.params"
    join = _JOINS.get(kind, "plain")
    if kind == "none" or kind not in _JOINS:
        return Convnet(None, (), join, "identity")
    if str(params.get("final_activation") or "none").lower() != "none":
        refusals.add(f"{key}.final_activation", "there is none behind the last layer here")
    stem = None
    if isinstance(given := params.get("stem_config"), Mapping):
        stem = _layer(given, f"{key}.stem_config", int(given.get("out_channels") or 8), refusals)
    channels = [int(count) for count in params.get("channels") or ()]
    blocks = params.get("block_configs") or [params.get("block_config") or {}] * len(channels)
    if len(blocks) != len(channels):
        refusals.add(f"{key}.block_configs", f"{len(blocks)} entries for {len(channels)} in `channels`")
    layers = tuple(
        _layer(block, f"{key}.block_configs.{number}", count, refusals)
        for number, (count, block) in enumerate(zip(channels, blocks, strict=False))
    )
    after = "identity"
    if join == "residual":
        given_after = params.get("resnet_post_add_activation")
        after = _activation(given_after, {}, f"{key}.resnet_post_add_activation", refusals)
        if after == "split_relu":
            refusals.add(f"{key}.resnet_post_add_activation", "a sum is not split here")
            after = "identity"
    return Convnet(stem, layers, join, after)


def _layer(block: Mapping[str, Any], key: str, channels: int, refusals: Refusals) -> Layer:
    conv, pool = block_of(block, "conv_params"), block_of(block, "pool_params")
    order = tuple(block.get("order") or _ORDER)
    if [part for part in order if part not in ("pad", "dropout", "pool")] != ["conv", "norm", "act"]:
        refusals.add(f"{key}.order", "only convolution, norm, nonlinearity is")
    for name, usual in (("type", "standard"), ("groups", 1)):
        if conv.get(name, usual) != usual:
            refusals.add(f"{key}.conv_params.{name}", f"only {usual!r} is, got {conv.get(name)!r}")
    kernel, stride = triple(conv.get("kernel_size"), 3), triple(conv.get("stride"), 1)
    if block.get("causal") is False and kernel[0] > 1:
        refusals.add(f"{key}.causal", "its kernel saw frames on both sides")
    made = _pool(pool, f"{key}.pool_params", refusals) if "pool" in order else None
    around = triple(pool.get("stride"), 1)  # what the shortcut looks at, whatever the pooling takes where it is unsaid
    norm = str(block.get("norm_type", "batch") or "none").lower()
    options = OldLayerOptions(
        channels=channels,
        kernel_size=kernel,
        stride=stride,
        dilation=triple(conv.get("dilation"), 1),
        pad_time="pad" in order,
        padding=_padding(conv, kernel, order, f"{key}.conv_params", refusals),
        bias=bool(conv.get("bias", norm == "none")),
        activation=_activation(
            block.get("act_type", "relu"), block_of(block, "act_params"), f"{key}.act_type", refusals
        ),
        dropout=float(block.get("dropout") or 0.0) if "dropout" in order else 0.0,
        pool=made,
        shortcut_stride=tuple(step * more for step, more in zip(stride, around, strict=True)),  # type: ignore[arg-type]  # three of three
        **_norm(norm, block_of(block, "norm_params"), channels, key, refusals),
    )
    return Layer(options, _window(conv, f"{key}.conv_params", refusals))


def _padding(
    conv: Mapping[str, Any], kernel: tuple[int, int, int], order: tuple[str, ...], key: str, refusals: Refusals
) -> tuple[int, int]:
    """Height and width of what was padded: kernels of one frame were not where `pad` stands in the order."""
    given = conv.get("padding") or 0
    time, height, width = triple([0, *given] if isinstance(given, list | tuple) and len(given) == 2 else given, 0)
    if kernel[0] > 1:
        sizes = (height if kernel[1] > 1 else 0, width if kernel[2] > 1 else 0)
        return sizes if "pad" in order else (0, 0)
    if "pad" in order:
        return 0, 0
    if time:
        refusals.add(f"{key}.padding", "it made up frames on both sides of the window")
    return height, width


def _norm(norm: str, params: Mapping[str, Any], channels: int, key: str, refusals: Refusals) -> dict[str, Any]:
    if norm not in _NORMS:
        refusals.add(f"{key}.norm_type", f"{norm!r} is no norm here")
        return {}
    if norm in ("rms", "layer") and params.get("target_dim", 1) not in (1, [1]):
        refusals.add(f"{key}.norm_params.target_dim", "these norms are taken over the channels of a pixel here")
    groups = int(params.get("num_groups") or 1) if norm == "group" else 1
    return {
        "norm": _NORMS[norm],
        "eps": 1e-6 if norm == "grn" else float(params.get("eps") or 1e-5),  # `grn` reads no parameter
        "num_groups": 1 if channels % groups else groups,  # as it fell back there
    }


def _activation(given: Any, params: Mapping[str, Any], key: str, refusals: Refusals) -> Any:
    word = str(given or "none").lower()
    if word not in ACTIVATIONS:
        refusals.add(key, f"there is no nonlinearity like {word!r} here")
    for name, usual in _ACTIVATION_PARAMS.items():
        if params.get(name, usual) != usual:
            refusals.add(f"{key.rpartition('.')[0]}.act_params.{name}", f"only {usual!r} is")
    return ACTIVATIONS.get(word, "identity")


def _pool(params: Mapping[str, Any], key: str, refusals: Refusals) -> OldPoolOptions | None:
    kind = str(params.get("type") or "none").lower()
    if kind == "none":
        return None
    if kind not in _POOLS:
        refusals.add(f"{key}.type", f"there is no pooling like {kind!r} here")
        return None
    if kind in ("aablur", "se_pool"):
        step = triple(params.get("stride"), 2)
        soft = params.get("use_soft") is not False
        return OldPoolOptions(kind=_POOLS[kind], stride=step, soft=soft, squeeze=int(params.get("r") or 8))  # type: ignore[arg-type]  # a word of the table
    size = triple(params.get("kernel_size"), 2)
    step = size if params.get("stride") is None else triple(params["stride"], 1)
    return OldPoolOptions(kind=_POOLS[kind], kernel_size=size, stride=step, padding=triple(params.get("padding"), 0))  # type: ignore[arg-type]  # a word of the table


def _window(params: Mapping[str, Any], key: str, refusals: Refusals) -> float | None:
    if not params.get("aa_signal"):
        return None
    kind, more = str(params.get("aa_window") or "hann"), block_of(params, "aa_window_kwargs")
    if kind != "hann" or set(more) - {"power"}:
        refusals.add(f"{key}.aa_window", "only 'hann' with a power is known")
    return float(more.get("power") or 1.0)
