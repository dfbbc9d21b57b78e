"""What a VisionCore model file says of a model, as far as its weights alone do not say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visioncore_engine.errors import CheckpointError
from visioncore_neural.legacy.layers import Convnet, Frontend, convnet_of, frontend_of
from visioncore_neural.legacy.refusals import Refusals, block_of
from visioncore_neural.options.old_core import OldCoreOptions

__all__ = ["History", "Modulator", "OldModel", "Recurrent"]

_TRANSFORMS = ("scale", "affine")
_PERCEPTRONS = ("relu", "elu", "gelu", "silu", "softplus")


@dataclass(frozen=True)
class Modulator:
    """``concat``, ``film`` or ``convgru``.

    Attributes
    ----------
    kind
        Which.
    dims
        Layers of its perceptron; for ``convgru`` the embedding alone.
    activation
        Of the perceptron.
    residual, last_activated
        Whether the perceptron adds its input where sizes are the same, and whether its last layer has a nonlinearity.
    unit
        The recurrent unit of ``convgru``, else None.
    """

    kind: str
    dims: tuple[int, ...]
    activation: str
    residual: bool
    last_activated: bool
    unit: Recurrent | None


@dataclass(frozen=True)
class Recurrent:
    """A ConvGRU; `hidden` is None where it is as many channels as it sees."""

    hidden: int | None
    kernel_size: int


@dataclass(frozen=True)
class History:
    """Perceptron over earlier responses."""

    num_lags: int
    hidden: tuple[int, ...]
    activation: str


@dataclass(frozen=True)
class OldModel:
    """A model.

    Attributes
    ----------
    adapter
        Its transform and grid size; None without one.
    frontend, convnet
        What the core is made of.
    modulator, recurrent, history
        None without one.
    readout
        ``gaussian`` or ``linear``.
    activation
        Of the output: ``softplus``, or ``exp`` where the output was the logarithm of the rate.
    baseline
        What makes it positive, ``relu`` or ``softplus``; None without one.
    """

    adapter: tuple[str, int] | None
    frontend: Frontend | None
    convnet: Convnet
    modulator: Modulator | None
    recurrent: Recurrent | None
    history: History | None
    readout: str
    activation: str
    baseline: str | None

    @property
    def sees(self) -> bool:
        """Whether it sees a stimulus."""
        core = self.frontend or self.convnet.stem or self.convnet.layers
        return bool(core) or self.adapter is not None

    @property
    def remembers(self) -> bool:
        """Whether a recurrent layer runs over the steps of a window."""
        return self.recurrent is not None or (self.modulator is not None and self.modulator.unit is not None)

    def core(self, num_lags: int) -> OldCoreOptions:
        """Options of the stage `visioncore` for windows of `num_lags` frames."""
        return OldCoreOptions(
            num_lags=num_lags,
            frontend=None if self.frontend is None else self.frontend.options,
            stem=None if self.convnet.stem is None else self.convnet.stem.options,
            join=self.convnet.join,  # type: ignore[arg-type]  # a word of the reader's table
            layers=tuple(layer.options for layer in self.convnet.layers),
            sum_activation=self.convnet.sum_activation,  # type: ignore[arg-type]  # likewise
            steps="all" if self.remembers else "oldest",
        )

    @classmethod
    def read(cls, content: Mapping[str, Any], where: str) -> OldModel:
        """Read a model file.

        Raises
        ------
        CheckpointError
            With everything in it whose weights cannot be carried over so that outputs stay the same.
        """
        refusals = Refusals()
        model = cls(
            adapter=_adapter(content, refusals),
            frontend=frontend_of(content, refusals),
            convnet=convnet_of(content, refusals),
            modulator=_modulator(content, refusals),
            recurrent=_recurrent(content, refusals),
            history=_history(content, refusals),
            readout=refusals.word(content, "readout", "gaussian", ("gaussian", "linear")),
            activation=_output(content, refusals),
            baseline=_baseline(content, refusals),
        )
        if model.recurrent is not None and model.modulator is not None and model.modulator.unit is not None:
            refusals.add("recurrent.type", "there is one recurrent unit here, and the modulator is one")
        if model.baseline and model.activation == "exp":
            refusals.add(
                "baseline", "it was added to the logarithm of the rate (`output_activation`), here to the rate"
            )
        if problems := refusals.problems(where):
            raise CheckpointError(*problems)
        return model


def _adapter(content: Mapping[str, Any], refusals: Refusals) -> tuple[str, int] | None:
    if refusals.word(content, "adapter", "none", ("none", "adapter")) != "adapter":
        return None
    params = block_of(block_of(content, "adapter"), "params")
    transform = str(params.get("transform") or "scale")
    if transform not in _TRANSFORMS:
        refusals.add("adapter.params.transform", f"{transform!r} is none of {', '.join(_TRANSFORMS)}")
    return transform, int(params.get("grid_size") or 25)


def _modulator(content: Mapping[str, Any], refusals: Refusals) -> Modulator | None:
    kind = refusals.word(content, "modulator", "none", ("none", "concat", "film", "convgru"))
    if kind not in ("concat", "film", "convgru"):
        return None
    params = block_of(block_of(content, "modulator"), "params")
    encoder = block_of(params, "encoder_params")
    activation = str(encoder.get("activation") or "gelu").lower()
    if kind == "convgru":
        unit = Recurrent(params.get("hidden_dim"), int(params.get("kernel_size") or 3))
        return Modulator(kind, (int(params.get("beh_emb_dim") or 16),), "gelu", False, False, unit)
    if activation not in _PERCEPTRONS:
        refusals.add("modulator.params.encoder_params.activation", f"perceptrons here have no {activation!r}")
    dims = tuple(int(size) for size in encoder.get("dims") or (64, 64))
    last = bool(encoder.get("last_layer_activation"))
    return Modulator(kind, dims, activation, encoder.get("residual") is not False, last, None)


def _recurrent(content: Mapping[str, Any], refusals: Refusals) -> Recurrent | None:
    given = refusals.word(content, "recurrent", "none", ("none", "convgru", "gru", "lstm"))
    if given in ("gru", "lstm"):
        what = "its weights were made in the first call: they were never trained, and no file holds them"
        refusals.add("recurrent.type", what)
    params = block_of(block_of(content, "recurrent"), "params")
    if given != "convgru":
        return None
    if (params.get("n_layers") or 1) != 1:
        refusals.add("recurrent.params.n_layers", "the channels of the first layer would have to hold its steps")
    return Recurrent(int(params.get("hidden_dim") or 64), int(params.get("kernel_size") or 3))


def _history(content: Mapping[str, Any], refusals: Refusals) -> History | None:
    if content.get("model_type") != "v1multi_history":
        return None  # the block was not read
    given = refusals.word(content, "history_encoder", "mlp", ("mlp",))
    params = block_of(block_of(content, "history_encoder"), "params")
    activation = str(params.get("act_type") or "relu").lower()
    key = "history_encoder.params"
    if activation not in _PERCEPTRONS:
        refusals.add(f"{key}.act_type", f"perceptrons here have no {activation!r}")
    for name in ("output_activation", "residual", "norm_type"):
        if params.get(name) not in (None, False, "none"):
            refusals.add(f"{key}.{name}", "perceptrons here have no such option")
    hidden = tuple(int(size) for size in params.get("hidden_dims", (32, 10)))
    return History(int(params.get("num_lags") or 5), hidden, activation) if given == "mlp" else None


def _output(content: Mapping[str, Any], refusals: Refusals) -> str:
    given = str(content.get("output_activation") or "none").lower()
    known = {"softplus": "softplus", "none": "exp", "identity": "exp"}
    if given not in known:
        refusals.add("output_activation", f"{given!r} is none of {', '.join(known)}")
    return known.get(given, "softplus")


def _baseline(content: Mapping[str, Any], refusals: Refusals) -> str | None:
    block = block_of(content, "baseline")
    if not block.get("enabled"):
        return None
    given = str(block.get("activation") or "relu")
    if given not in ("relu", "softplus"):
        refusals.add("baseline.activation", f"{given!r} is none of relu, softplus")
    return given
