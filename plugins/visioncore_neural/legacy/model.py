"""What a VisionCore model file says of a model, as far as its weights alone do not say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visioncore_engine.errors import CheckpointError, Problem
from visioncore_neural.legacy.reader import Placeholder

__all__ = ["Frontend", "Layer", "Modulator", "OldModel", "model_file_of", "plain"]

_TRANSFORMS = ("scale", "affine")
_NORMS = {"none": "none", "batch": "batch"}
_OVER_TIME = "takes statistics over all frames of its window, which no stage here does"
_NOT_HERE = {
    "rms": "is taken at each pixel, which no norm here is",
    "layer": "is taken at each pixel, which no norm here is",
    "group": _OVER_TIME,
    "instance": _OVER_TIME,
    "grn": _OVER_TIME,
}
_ACTIVATIONS = {
    "none": "identity", "identity": "identity", "relu": "relu", "gelu": "gelu", "silu": "silu", "swish": "silu",
    "softplus": "softplus", "leakyrelu": "leaky_relu", "tanh": "tanh", "splitrelu": "split_relu", "elu": "elu",
}  # fmt: skip


def plain(value: Any) -> Any:
    """Mappings and lists out of what the reader made of Python objects: a namespace becomes a mapping."""
    if isinstance(value, Placeholder):
        pairs = [item for item in value.items if isinstance(item, tuple)]
        if pairs:
            return {str(key): plain(item) for key, item in pairs}
        if isinstance(value.state, Mapping):
            return plain(value.state)
        return [plain(item) for item in value.items] if value.items else value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def model_file_of(payload: Any) -> Mapping[str, Any] | None:
    """Content of the model file that a checkpoint keeps in its hyper-parameters; None where it keeps none."""
    kept = plain(payload.get("hyper_parameters")) if isinstance(payload, Mapping) else None
    found = kept.get("model_config_dict") if isinstance(kept, Mapping) else None
    return found if isinstance(found, Mapping) and found else None


@dataclass(frozen=True)
class Frontend:
    """Temporal filters: frames, filters, and the power of the window over them, None without one."""

    kernel_size: int
    num_channels: int
    window_power: float | None


@dataclass(frozen=True)
class Layer:
    """A convolutional layer, in a residual block or not; words are those of options here."""

    residual: bool
    channels: int
    kernel: tuple[int, int, int]
    norm: str
    activation: str
    after: str
    window_power: float | None


@dataclass(frozen=True)
class Modulator:
    """``concat``, ``film`` or ``convgru``, and its perceptron's nonlinearity."""

    kind: str
    activation: str
    residual: bool


@dataclass(frozen=True)
class OldModel:
    """A model.

    Attributes
    ----------
    adapter
        Its transform and grid size; None without one.
    frontend, modulator
        None without one.
    layers
        The stem's and the blocks'.
    recurrent
        Whether a ConvGRU follows.
    readout
        ``gaussian`` or ``linear``.
    activation
        Of the output: ``softplus``, or ``exp`` where the output was the logarithm of the rate.
    baseline
        What makes it positive, ``relu`` or ``softplus``; None without one.
    """

    adapter: tuple[str, int] | None
    frontend: Frontend | None
    layers: tuple[Layer, ...]
    modulator: Modulator | None
    recurrent: bool
    readout: str
    activation: str
    baseline: str | None

    @classmethod
    def read(cls, content: Mapping[str, Any], where: str) -> OldModel:
        """Read a model file.

        Raises
        ------
        CheckpointError
            With everything in it whose weights cannot be carried over so that outputs stay the same.
        """
        reader = _Reader()
        model = cls(
            adapter=reader.adapter(content),
            frontend=reader.frontend(content),
            layers=reader.layers(content),
            modulator=reader.modulator(content),
            recurrent=reader.recurrent(content),
            readout=reader.word(content, "readout", "gaussian", ("gaussian", "linear")),
            activation=reader.output(content),
            baseline=reader.baseline(content),
        )
        reader.word(content, "history_encoder", "none", ("none",))
        if model.recurrent and model.modulator is not None and model.modulator.kind != "concat":
            what = f"a recurrent layer behind the modulator {model.modulator.kind!r} saw behavior as no model here does"
            reader.refuse("modulator.type", what)
        if model.baseline and model.activation == "exp":
            reader.refuse(
                "baseline", "it was added to the logarithm of the rate (`output_activation`), here to the rate"
            )
        if reader.problems:
            raise CheckpointError(*(Problem(where=where, **problem) for problem in reader.problems))
        return model


class _Reader:
    def __init__(self) -> None:
        self.problems: list[dict[str, str]] = []

    def refuse(self, key: str, what: str, todo: str = "train it anew here: `visioncore import-config`") -> None:
        self.problems.append({"key": key, "what": f"cannot be carried over exactly: {what}", "todo": todo})

    def word(self, content: Mapping[str, Any], slot: str, usual: str, known: tuple[str, ...]) -> str:
        given = str(_block(content, slot).get("type") or usual).lower()
        if given not in known:
            self.refuse(f"{slot}.type", f"{given!r} is none of {', '.join(known)}")
        return given

    def adapter(self, content: Mapping[str, Any]) -> tuple[str, int] | None:
        if self.word(content, "adapter", "none", ("none", "adapter")) != "adapter":
            return None
        params = _block(_block(content, "adapter"), "params")
        transform = str(params.get("transform") or "scale")
        if transform not in _TRANSFORMS:
            self.refuse("adapter.params.transform", f"{transform!r} is none of {', '.join(_TRANSFORMS)}")
        return transform, int(params.get("grid_size") or 25)

    def frontend(self, content: Mapping[str, Any]) -> Frontend | None:
        if self.word(content, "frontend", "none", ("none", "learnable_temporal")) != "learnable_temporal":
            return None
        params = _block(_block(content, "frontend"), "params")
        if params.get("split_MP"):
            self.refuse("frontend.params.split_MP", "the bands of a steerable pyramid are not those of `bands`")
        size, channels = int(params.get("kernel_size") or 16), int(params.get("num_channels") or 6)
        return Frontend(size, channels, self._window(params, "frontend.params"))

    def layers(self, content: Mapping[str, Any]) -> tuple[Layer, ...]:
        kind = self.word(content, "convnet", "none", ("none", "vanilla", "cnn", "conv", "resnet"))
        params, key = _block(_block(content, "convnet"), "params"), "convnet.params"
        if kind not in ("vanilla", "cnn", "conv", "resnet"):
            return ()
        if str(params.get("final_activation") or "none").lower() != "none":
            self.refuse(f"{key}.final_activation", "stages end in their own nonlinearity")
        layers = []
        if isinstance(stem := params.get("stem_config"), Mapping):
            layers.append(self._layer(stem, f"{key}.stem_config", int(stem.get("out_channels") or 8)))
        channels = [int(count) for count in params.get("channels") or ()]
        blocks = params.get("block_configs") or [params.get("block_config") or {}] * len(channels)
        if len(blocks) != len(channels):
            self.refuse(f"{key}.block_configs", f"{len(blocks)} entries for {len(channels)} in `channels`")
        after = self._activation(params.get("resnet_post_add_activation"), f"{key}.resnet_post_add_activation")
        for number, (count, block) in enumerate(zip(channels, blocks, strict=False)):
            place = f"{key}.block_configs.{number}"
            layers.append(self._layer(block, place, count, after if kind == "resnet" else None))
        return tuple(layers)

    def _layer(self, block: Mapping[str, Any], key: str, channels: int, after: str | None = None) -> Layer:
        conv = _block(block, "conv_params")
        given = conv.get("kernel_size") or 3
        sizes = [given] * 3 if isinstance(given, int) else [int(size) for size in given]
        kernel = (sizes[0], sizes[1], sizes[2])
        for name, usual in (("type", "standard"), ("stride", 1), ("dilation", 1), ("groups", 1)):
            if conv.get(name, usual) not in (usual, [usual] * 3):
                self.refuse(f"{key}.conv_params.{name}", f"only {usual!r} is", f"got {conv.get(name)!r}")
        padding = conv.get("padding") or 0
        padding = [padding] * 3 if isinstance(padding, int) else [0, *padding][-3:]
        if any(pad and size > 1 for pad, size in zip(padding[1:], kernel[1:], strict=True)):
            self.refuse(f"{key}.conv_params.padding", "it repeated the pixels at the border, which no stage here does")
        if block.get("causal") is False and kernel[0] > 1:
            self.refuse(f"{key}.causal", "its kernel saw frames on both sides")
        norm = str(block.get("norm_type", "batch") or "none").lower()
        if norm not in _NORMS:
            self.refuse(f"{key}.norm_type", f"{norm!r} {_NOT_HERE.get(norm, 'is no norm here')}")
        if norm == "batch" and float(_block(block, "norm_params").get("eps") or 1e-5) != 1e-5:
            self.refuse(f"{key}.norm_params.eps", "the small number of batch norms is 1e-5 here")
        if str(_block(block, "pool_params").get("type") or "none").lower() != "none":
            self.refuse(f"{key}.pool_params", "it pools over frames or in another window than poolings here")
        order = [part for part in block.get("order") or () if part not in ("pad", "dropout", "pool")]
        if order and order != ["conv", "norm", "act"]:
            self.refuse(f"{key}.order", "only convolution, norm, nonlinearity is")
        return Layer(
            residual=after is not None,
            channels=channels,
            kernel=kernel,
            norm=_NORMS.get(norm, "none"),
            activation=self._activation(block.get("act_type", "relu"), f"{key}.act_type"),
            after=after or "identity",
            window_power=self._window(conv, f"{key}.conv_params"),
        )

    def _activation(self, given: Any, key: str) -> str:
        word = str(given or "none").lower()
        if word not in _ACTIVATIONS:
            self.refuse(key, f"there is no nonlinearity like {word!r} here")
        return _ACTIVATIONS.get(word, "identity")

    def _window(self, params: Mapping[str, Any], key: str) -> float | None:
        if not params.get("aa_signal"):
            return None
        kind, more = str(params.get("aa_window") or "hann"), _block(params, "aa_window_kwargs")
        if kind != "hann" or set(more) - {"power"}:
            self.refuse(f"{key}.aa_window", "only 'hann' with a power is known")
        return float(more.get("power") or 1.0)

    def modulator(self, content: Mapping[str, Any]) -> Modulator | None:
        kind = self.word(content, "modulator", "none", ("none", "concat", "film", "convgru"))
        if kind not in ("concat", "film", "convgru"):
            return None
        encoder = _block(_block(_block(content, "modulator"), "params"), "encoder_params")
        activation = str(encoder.get("activation") or "gelu").lower()
        if activation not in ("relu", "elu", "gelu", "silu", "softplus"):
            self.refuse("modulator.params.encoder_params.activation", f"perceptrons here have no {activation!r}")
        return Modulator(kind, activation, encoder.get("residual") is not False)

    def recurrent(self, content: Mapping[str, Any]) -> bool:
        given = self.word(content, "recurrent", "none", ("none", "convgru", "gru", "lstm"))
        if given in ("gru", "lstm"):
            what = "its weights were made in the first call: they were never trained, and no file holds them"
            self.refuse("recurrent.type", what)
        layers = _block(_block(content, "recurrent"), "params").get("n_layers") or 1
        if given == "convgru" and layers != 1:
            self.refuse("recurrent.params.n_layers", "layers here start anew for each prediction one after the other")
        return given == "convgru"

    def output(self, content: Mapping[str, Any]) -> str:
        given = str(content.get("output_activation") or "none").lower()
        known = {"softplus": "softplus", "none": "exp", "identity": "exp"}
        if given not in known:
            self.refuse("output_activation", f"{given!r} is none of {', '.join(known)}")
        return known.get(given, "softplus")

    def baseline(self, content: Mapping[str, Any]) -> str | None:
        block = _block(content, "baseline")
        if not block.get("enabled"):
            return None
        given = str(block.get("activation") or "relu")
        if given not in ("relu", "softplus"):
            self.refuse("baseline.activation", f"{given!r} is none of relu, softplus")
        return given


def _block(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = content.get(name)
    return found if isinstance(found, Mapping) else {}
