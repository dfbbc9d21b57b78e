"""Frontend and convolutions of an old model as those of the encoder. K frames of a kernel.

In VisionCore windows began with the newest frame, and the readout looked at the last, that is the oldest, step of what
a core made of them. So kernels are turned round in time, and where no recurrent layer carries the newer steps on, the
newest frames of a window had no effect: the first kernel is filled up with zeros for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from visioncore_engine.errors import CheckpointError, Problem
from visioncore_neural.legacy.fit import Fit
from visioncore_neural.legacy.kernels import Taken, applied_kernel
from visioncore_neural.legacy.model import Layer, OldModel
from visioncore_neural.options.model import EncoderOptions
from visioncore_neural.options.stage import Conv3dOptions, Resnet3dOptions

__all__ = ["Lags", "core_fits", "core_weights", "lags_of"]


@dataclass(frozen=True)
class Lags:
    """Frames of a window that mattered.

    Attributes
    ----------
    delay
        Newest frames that had no effect.
    steps
        Steps that a recurrent layer ran over; 0 without one.
    """

    delay: int
    steps: int


def lags_of(model: OldModel, num_lags: int) -> Lags:
    """Count frames for windows of `num_lags` frames.

    Raises
    ------
    CheckpointError
        Where outputs depended on frames that were made up beyond the end of the window.
    """
    steps = num_lags - (model.frontend.kernel_size - 1 if model.frontend else 0)
    spent = sum(layer.kernel[0] - 1 for layer in model.layers)
    recurrent = model.recurrent or (model.modulator is not None and model.modulator.kind == "convgru")
    if recurrent and spent:
        what = (
            "cannot be carried over exactly: its recurrent layer saw frames that convolutions made up beyond the window"
        )
        todo = "only kernels of one frame can stand before a recurrent layer; train it anew here"
        raise CheckpointError(Problem(key="convnet.params", what=what, todo=todo))
    if steps - spent < (2 if recurrent else 1):
        what = f"{num_lags} frames are too few for kernels of {num_lags - steps + 1 + spent}"
        raise CheckpointError(Problem(key="--lags", what=what, todo="give what `keys_lags` of its data said"))
    return Lags(0, steps) if recurrent else Lags(steps - 1 - spent, 0)


def core_fits(model: OldModel, lags: Lags, options: EncoderOptions, taken: Taken, fit: Fit) -> bool:
    """Compare the run's stages with the old ones; whether there are as many of the same kinds."""
    stages = list(options.core)
    if model.frontend is not None:
        choice = stages.pop(0) if stages else None
        if choice is None:
            fit.refuse("model.core", "needs the stage learnable_temporal first")
            return False
        fit.options(
            f"model.core.{choice.id}",
            choice,
            "learnable_temporal",
            kernel_size=model.frontend.kernel_size + lags.delay,
            num_channels=model.frontend.num_channels,
            bias=taken.find("frontend.temporal_conv.conv.bias") is not None,
            weight_norm="none",
            window="none",
            bands=None,
        )
    elif lags.delay:
        fit.refuse("--lags", f"the newest {lags.delay} frames had no effect, and there is no frontend to say so")
    left = list(model.layers)
    for choice in stages:
        key, own = f"model.core.{choice.id}", choice.options
        if not isinstance(own, Conv3dOptions | Resnet3dOptions):
            fit.refuse(key, f"the file has no stage like {choice.name!r} here", "leave it out")
            return False
        layers, left = left[: len(own.channels)], left[len(own.channels) :]
        residual = isinstance(own, Resnet3dOptions)
        if len(layers) < len(own.channels) or any(layer.residual != residual for layer in layers):
            fit.refuse(key, f"the file has other layers: {_words(model.layers)}", "conv3d and resnet3d, in this order")
            return False
        _stage_fits(key, own, layers, fit)
    if left:
        fit.refuse("model.core", f"lacks layers of the file: {_words(tuple(left))}", "add stages of conv3d or resnet3d")
    return not left


def _stage_fits(key: str, own: Conv3dOptions | Resnet3dOptions, layers: list[Layer], fit: Fit) -> None:
    fit.same(f"{key}.compat", own.compat, "visioncore")
    fit.same(f"{key}.channels", own.channels, tuple(layer.channels for layer in layers))
    fit.same(f"{key}.kernel_size", own.kernels, tuple(layer.kernel for layer in layers))
    for layer in layers:
        fit.same(f"{key}.norm", own.norm, layer.norm)
        fit.same(f"{key}.activation", own.activation, layer.activation)
        if isinstance(own, Resnet3dOptions):
            fit.same(f"{key}.activate_sum", own.activate_sum, layer.after != "identity")
            if layer.after not in ("identity", layer.activation):
                fit.refuse(f"{key}.activate_sum", f"the sum has another nonlinearity, {layer.after!r}")


def core_weights(model: OldModel, lags: Lags, options: EncoderOptions, taken: Taken) -> dict[str, Tensor]:
    """State of ``core.*``, in float64, of stages that fit."""
    made: dict[str, Tensor] = {}
    first = 0
    if model.frontend is not None:
        old = "frontend.temporal_conv.conv"
        kernel = applied_kernel(taken, old, model.frontend.window_power).flip(2)
        newest = kernel.new_zeros(*kernel.shape[:2], lags.delay, 1, 1)
        made["core.0.weight"] = torch.cat([kernel, newest], dim=2)
        if (bias := taken.find(f"{old}.bias")) is not None:
            made["core.0.bias"] = bias
        first = 1
    number = 0
    for place, choice in enumerate(options.core[first:], start=first):
        own = choice.options
        assert isinstance(own, Conv3dOptions | Resnet3dOptions)
        for index in range(len(own.channels)):
            layer = model.layers[number]
            if layer.residual:
                old = f"convnet.layers.{number}.main_block"
                made |= _layer(taken, old, layer, f"core.{place}.blocks.{index}.main", 0)
                shortcut = taken.find(f"convnet.layers.{number}.shortcut.weight")
                if shortcut is not None:
                    made[f"core.{place}.blocks.{index}.shortcut.weight"] = shortcut
            else:  # a layer has four parts: convolution, norm, nonlinearity, dropout
                made |= _layer(taken, f"convnet.layers.{number}", layer, f"core.{place}.layers", 4 * index)
            number += 1
    return made


def _layer(taken: Taken, old: str, layer: Layer, new: str, place: int) -> dict[str, Tensor]:
    """State of the convolution at a place of a sequence, and of the norm behind it."""
    conv, norm = f"{old}.components.conv.conv", f"{old}.components.norm"
    kernel = applied_kernel(taken, conv, layer.window_power).flip(2)
    made = {f"{new}.{place}.weight": kernel}
    bias = taken.find(f"{conv}.bias")
    gain = taken.find(f"{old}.components.act.ongain")
    if gain is not None and not bool((gain.abs() == 1).all()):
        what = "cannot be carried over exactly: the gain of its split ReLU is not 1"
        raise CheckpointError(Problem(where=taken.where, key=f"{old}.components.act.ongain", what=what))
    if layer.norm == "none":
        made[f"{new}.{place}.bias"] = kernel.new_zeros(layer.channels) if bias is None else bias
        return made
    mean = taken.need(f"{norm}.running_mean")
    made[f"{new}.{place + 1}.running_mean"] = mean if bias is None else mean - bias  # a norm takes an offset away
    made[f"{new}.{place + 1}.running_var"] = taken.need(f"{norm}.running_var")
    made[f"{new}.{place + 1}.num_batches_tracked"] = taken.need(f"{norm}.num_batches_tracked")
    scale, shift = taken.find(f"{norm}.weight"), taken.find(f"{norm}.bias")
    made[f"{new}.{place + 1}.weight"] = torch.ones_like(mean) if scale is None else scale
    made[f"{new}.{place + 1}.bias"] = torch.zeros_like(mean) if shift is None else shift
    return made


def _words(layers: tuple[Layer, ...]) -> str:
    return ", ".join(f"{'resnet3d' if layer.residual else 'conv3d'} {layer.channels}" for layer in layers) or "none"
