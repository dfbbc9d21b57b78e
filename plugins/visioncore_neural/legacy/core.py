"""Frontend and convolutions of an old model as the stage `visioncore`: kernels as they were applied, in its order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from visioncore_engine.errors import CheckpointError, Problem
from visioncore_neural.legacy.fit import Fit
from visioncore_neural.legacy.kernels import Taken, applied_kernel
from visioncore_neural.legacy.layers import Layer
from visioncore_neural.legacy.model import OldModel
from visioncore_neural.options.model import EncoderOptions

__all__ = ["core_fits", "core_weights"]


def core_fits(model: OldModel, num_lags: int, options: EncoderOptions, fit: Fit) -> bool:
    """Compare the run's core with the old one; whether it is that stage alone, or none where nothing was seen.

    Raises
    ------
    CheckpointError
        Where windows are too short for the layers.
    """
    fit.same("model.stimulus", options.stimulus, model.sees)
    if not model.sees:
        fit.same("model.core", len(options.core), 0)
        return not options.core
    needed = model.core(num_lags)
    if needed.num_steps < 1:
        what = f"{num_lags} frames are too few for its layers"
        raise CheckpointError(Problem(key="--lags", what=what, todo="give what `keys_lags` of its data said"))
    if [choice.name for choice in options.core] != ["visioncore"]:
        words = ", ".join(choice.name for choice in options.core) or "none"
        todo = "write it as docs/components/stage.md says"
        fit.refuse("model.core", f"needs the stage visioncore alone, and has {words}", todo)
        return False
    (choice,) = options.core
    _compare(f"model.core.{choice.id}", choice.options.model_dump(), needed.model_dump(), fit)
    return True


def _compare(key: str, given: Any, needed: Any, fit: Fit) -> None:
    """Note what differs, by its own key."""
    if isinstance(given, dict) and isinstance(needed, dict):
        for name in needed:
            _compare(f"{key}.{name}", given[name], needed[name], fit)
    elif key.endswith(".layers") and len(given) == len(needed):
        for number, (one, other) in enumerate(zip(given, needed, strict=True)):
            _compare(f"{key}.{number}", one, other, fit)
    else:
        fit.same(key, given, needed)


def core_weights(model: OldModel, taken: Taken) -> dict[str, Tensor]:
    """State of ``core.*``, in float64."""
    made: dict[str, Tensor] = {}
    if model.frontend is not None:
        made |= _adaptation(taken) if model.frontend.options.kind == "adaptation" else _temporal(model, taken)
    first = 0
    if model.convnet.stem is not None:
        apart = any(
            name.startswith("convnet.stem.") for name in taken.names
        )  # earlier versions: the first of the layers
        made |= _layer(taken, "convnet.stem" if apart else "convnet.layers.0", model.convnet.stem, "stem")
        first = 0 if apart else 1
    for number, layer in enumerate(model.convnet.layers):
        old = f"convnet.layers.{first + number}"
        if model.convnet.join != "residual":
            made |= _layer(taken, old, layer, f"layers.{number}" + (".main" if model.convnet.join == "dense" else ""))
            continue
        made |= _layer(taken, f"{old}.main_block", layer, f"layers.{number}.main")
        if (shortcut := taken.find(f"{old}.shortcut.weight")) is not None:
            made[f"layers.{number}.shortcut.weight"] = shortcut
    return {f"core.0.{name}": value for name, value in made.items()}


def _temporal(model: OldModel, taken: Taken) -> dict[str, Tensor]:
    assert model.frontend is not None
    old = "frontend.temporal_conv.conv"
    made = {"frontend.weight": applied_kernel(taken, old, model.frontend.window_power)}
    if model.frontend.options.bias:
        made["frontend.bias"] = taken.need(f"{old}.bias")
    return made


def _adaptation(taken: Taken) -> dict[str, Tensor]:
    for name in ("gamma", "tau_y_ms", "tau_z_ms", "n_y", "n_z"):
        taken.find(f"frontend.{name}")  # the filters were made from them, and no output depends on them any more
    filters = [taken.need(f"frontend.{name}_filter").flatten() for name in ("Ky", "Kz")]
    return {
        "frontend.filters": torch.stack(filters),
        "frontend.alpha": taken.need("frontend.alpha"),
        "frontend.beta": taken.need("frontend.beta"),
    }


def _layer(taken: Taken, old: str, layer: Layer, new: str) -> dict[str, Tensor]:
    """State of a layer."""
    conv, options = f"{old}.components.conv.conv", layer.options
    made = {"conv.weight": applied_kernel(taken, conv, layer.window_power)}
    if options.bias:
        made["conv.bias"] = taken.need(f"{conv}.bias")
    gain = taken.find(f"{old}.components.act.ongain")
    if gain is not None and not bool((gain.abs() == 1).all()):
        what = "cannot be carried over exactly: the gain of its split ReLU is not 1"
        raise CheckpointError(Problem(where=taken.where, key=f"{old}.components.act.ongain", what=what))
    made |= _norm(taken, f"{old}.components.norm", layer)
    if options.pool is not None and options.pool.kind in ("soft", "blurred_soft"):
        pool = f"{old}.components.pool"
        taken.find(f"{pool}.blur")  # always the same
        for place, name in ((1, "hidden"), (3, "output")):
            made[f"pool.{name}.weight"] = taken.need(f"{pool}.se.{place}.weight").flatten(1)
            made[f"pool.{name}.bias"] = taken.need(f"{pool}.se.{place}.bias")
    return {f"{new}.{name}": value for name, value in made.items()}


def _norm(taken: Taken, old: str, layer: Layer) -> dict[str, Tensor]:
    kind, channels = layer.options.norm, layer.options.channels
    if kind == "none":
        return {}
    own = kind in ("pixel_rms", "window_response")  # VisionCore's own norms have other names for both
    scale, shift = (taken.find(f"{old}.{name}") for name in (("gamma", "beta") if own else ("weight", "bias")))
    made = {
        "norm.weight": torch.ones(channels, dtype=torch.float64) if scale is None else scale,
        "norm.bias": torch.zeros(channels, dtype=torch.float64) if shift is None else shift,
    }
    if kind == "window_response":
        made["norm.offset"] = taken.need(f"{old}.offset")
    if kind == "batch":
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            made[f"norm.{name}"] = taken.need(f"{old}.{name}")
    return made
