"""The block `model` that the weights of a VisionCore model need, to predict as they did there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visioncore_engine.errors import CheckpointError, Problem
from visioncore_neural.legacy.model import Modulator, OldModel, Recurrent

__all__ = ["model_of_weights"]

_LEAST_STD = 1e-5  # windows there were as narrow as a thousandth of a pixel
_BASELINE = 0.001  # where one started there; the weights replace it


def model_of_weights(content: Mapping[str, Any], num_lags: int, where: str = "") -> dict[str, Any]:
    """Block `model` of a run whose checkpoint `visioncore import-checkpoint` can make.

    Parameters
    ----------
    content
        The model file.
    num_lags
        Frames of the stimulus that its data served.
    where
        What messages name as the place.

    Raises
    ------
    CheckpointError
        With everything in the file whose weights cannot be carried over exactly.
    """
    model = OldModel.read(content, where)
    core = model.core(num_lags)
    if model.sees and core.num_steps < 1:
        what = f"its data served {num_lags} frames, too few for its layers"
        raise CheckpointError(Problem(where=where, key="keys_lags.stim", what=what))
    made: dict[str, Any] = {"name": "encoder"} if model.sees else {"name": "encoder", "stimulus": False}
    if model.adapter is not None:
        transform, size = model.adapter
        made["adapter"] = {"name": "affine", "grid_size": size, "transform": transform, "compat": "visioncore"}
    if model.sees:
        made["core"] = [{"name": "visioncore", **core.model_dump(mode="json", exclude_defaults=True)}]
    made |= _behavior(model, core.num_steps if model.sees else 1, core.num_channels if model.sees else 1)
    if model.readout == "gaussian":
        made["readout"] = {"name": "gaussian", "rotate": True, "min_std": _LEAST_STD}
    else:
        made["readout"] = "pooled"
    made["activation"] = model.activation
    if model.baseline is not None:
        made["baseline"] = _BASELINE
    if model.history is not None:
        history = model.history
        made["history"] = {
            "num_lags": history.num_lags, "hidden": list(history.hidden), "activation": history.activation,
        }  # fmt: skip
    return made


def _behavior(model: OldModel, num_steps: int, num_channels: int) -> dict[str, Any]:
    modulator, recurrent = model.modulator, model.recurrent
    unit = None if recurrent is None else _unit(recurrent, num_steps, num_channels)
    if modulator is None:
        return {} if unit is None else {"recurrent": [unit]}
    if modulator.unit is not None:
        own = _unit(modulator.unit, num_steps, num_channels)
        return {"modulator": {**own, "hidden": [], "num_embedding": modulator.dims[-1]}}
    perceptron = _perceptron(modulator)
    if modulator.kind == "film":
        made: dict[str, Any] = {"modulator": {"name": "film", **perceptron}}
        return made if unit is None else {**made, "recurrent": [unit]}
    if unit is not None:  # together they are one modulator here
        return {"modulator": {**unit, **perceptron, "num_embedding": modulator.dims[-1]}}
    return {"modulator": {"name": "concat", **perceptron, "num_channels": modulator.dims[-1]}}


def _perceptron(modulator: Modulator) -> dict[str, Any]:
    hidden = list(modulator.dims if modulator.last_activated else modulator.dims[:-1])
    return {"hidden": hidden, **({"activation": modulator.activation} if hidden else {})}


def _unit(unit: Recurrent, num_steps: int, num_channels: int) -> dict[str, Any]:
    hidden = num_channels if unit.hidden is None else unit.hidden
    return {
        "name": "conv_gru", "hidden_channels": hidden, "kernel_size": unit.kernel_size, "compat": "visioncore",
        "steps": num_steps,
    }  # fmt: skip
