"""Adapter, readout and baseline of one session of an old model as those of the encoder. N units, C channels."""

from __future__ import annotations

import torch
from torch import Tensor

from visioncore_engine.errors import CheckpointError, Problem
from visioncore_neural.legacy.kernels import Taken
from visioncore_neural.legacy.model import History, OldModel
from visioncore_neural.legacy.perceptron import Perceptron
from visioncore_neural.options.readout import GaussianOptions

__all__ = ["adapter_weights", "baseline_weights", "gaussian_weights", "history_weights", "pooled_weights"]

_LEAST_STD = 1e-3  # pixels; VisionCore clamps there
_ADDED = 1e-8  # to the sum of a mask, before it is divided by it
_NO_RATE = -200.0  # the logarithm of a rate that is 0 in float32
Projection = tuple[Tensor, Tensor]


def adapter_weights(model: OldModel, taken: Taken) -> dict[str, Tensor]:
    """State of an adapter ``compat: visioncore``."""
    assert model.adapter is not None
    softplus = torch.nn.functional.softplus
    scaled = model.adapter[0] == "scale"
    theta = softplus(taken.need("adapter.log_scale")) if scaled else taken.need("adapter.affine")
    return {"theta": theta, "log_sigma": softplus(taken.need("adapter.log_sigma")).log()}


def gaussian_weights(
    taken: Taken, options: GaussianOptions, size: tuple[int, int], projection: Projection | None
) -> dict[str, Tensor]:
    """State of a readout `gaussian`.

    In VisionCore means and widths are (y, x) in pixels from the middle, angles turn the other way, and a mask is
    divided by its sum and 1e-8.

    Parameters
    ----------
    taken
        Tensors of the session.
    options
        Of our readout.
    size
        Height and width of the features.
    projection
        Weight and offset of a linear map of the channels in front of it.

    Raises
    ------
    CheckpointError
        Where windows are narrower than ours can be, or turned where ours are not.
    """
    mean, std = taken.need("readout.mean"), taken.need("readout.std").clamp(min=_LEAST_STD)
    theta = taken.need("readout.theta")
    turned = bool((theta != 0).any())
    if turned and not options.rotate:
        raise _refused(taken, "readout.theta", "its windows are turned", "write `rotate: true` for the readout")
    if turned and size[0] != size[1]:
        what = "cannot be carried over exactly: its windows are turned on features that are not square"
        raise _refused(taken, "readout.theta", what, "train the readout anew here")
    share = _mask_sum(mean, std, theta, size)
    kept = share / (share + _ADDED)
    unit = torch.tensor([2 / (pixels - 1) if pixels > 1 else 1.0 for pixels in size], dtype=torch.float64)
    width = std * unit
    if bool((width <= options.min_std).any()):
        least = float(width.min())
        what = f"its narrowest window has a width of {least:.3g}, and `min_std` is {options.min_std}"
        raise _refused(taken, "readout.std", what, f"write `min_std: {least / 2:.1g}` for the readout")
    features, bias = taken.need("readout.features.weight")[:, :, 0, 0] * kept[:, None], taken.find("readout.bias")
    made = _projected(features, bias, projection)
    made |= {"mean": (mean * unit).flip(1), "log_std": (width - options.min_std).log().flip(1)}
    return made | ({"theta": -theta} if options.rotate else {})


def pooled_weights(taken: Taken, projection: Projection | None) -> dict[str, Tensor]:
    """State of a readout `pooled`."""
    bias = taken.find("readout.fc.bias")
    again = taken.find("readout.bias")  # the same parameter under a second name
    if again is not None and (bias is None or not torch.equal(bias, again)):
        raise _refused(taken, "readout.bias", "is another than readout.fc.bias", "the file was changed")
    return _projected(taken.need("readout.fc.weight"), bias, projection)


def baseline_weights(model: OldModel, taken: Taken) -> dict[str, Tensor]:
    """State of a baseline."""
    given = taken.need("baseline")
    rate = given.clamp(min=0) if model.baseline == "relu" else torch.nn.functional.softplus(given)
    return {"log_rate": rate.log().clamp(min=_NO_RATE)}


def history_weights(history: History, taken: Taken) -> tuple[dict[str, Tensor], Tensor]:
    """State of an encoder of earlier responses, and its offset (N,), which the readout takes.

    VisionCore's inputs are the units of the frame before, then those of the frame before that; ours are the frames of
    the first unit, the oldest first.
    """
    perceptron = Perceptron.read(taken, "history")
    layers = [*perceptron.hidden, perceptron.output]
    weight, bias = layers[0]
    by_lag = torch.unflatten(weight, 1, (history.num_lags, -1))
    layers[0] = by_lag.flip(1).transpose(1, 2).flatten(1), bias
    state = Perceptron(tuple(layers[:-1]), layers[-1]).state("")
    return state, state.pop("output.bias")


def _projected(features: Tensor, bias: Tensor | None, projection: Projection | None) -> dict[str, Tensor]:
    bias = features.new_zeros(len(features)) if bias is None else bias
    if projection is None:
        return {"features": features, "bias": bias}
    return {"features": features @ projection[0], "bias": bias + features @ projection[1]}


def _mask_sum(mean: Tensor, std: Tensor, theta: Tensor, size: tuple[int, int]) -> Tensor:
    """Sum of each unit's mask before it is divided, (N,)."""
    y, x = (torch.arange(pixels, dtype=torch.float64) - (pixels - 1) / 2 for pixels in size)
    dy, dx = y[:, None] - mean[:, 0, None, None], x[None, :] - mean[:, 1, None, None]
    cos, sin = theta.cos()[:, None, None], theta.sin()[:, None, None]
    first, second = (dy * cos + dx * sin) / std[:, 0, None, None], (dx * cos - dy * sin) / std[:, 1, None, None]
    return torch.exp(-0.5 * (first**2 + second**2)).sum(dim=(1, 2))


def _refused(taken: Taken, key: str, what: str, todo: str) -> CheckpointError:
    return CheckpointError(Problem(where=taken.where, key=key, what=what, todo=todo))
