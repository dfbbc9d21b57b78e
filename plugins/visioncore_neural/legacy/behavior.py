"""Modulator and recurrent layer of an old model as those of the encoder. C channels, D hidden channels."""

from __future__ import annotations

import torch
from torch import Tensor

from visioncore_engine.errors import CheckpointError, Problem
from visioncore_engine.options import Choice
from visioncore_neural.legacy.fit import Fit
from visioncore_neural.legacy.kernels import Taken
from visioncore_neural.legacy.model import Modulator, OldModel
from visioncore_neural.legacy.perceptron import Perceptron
from visioncore_neural.options.model import EncoderOptions

__all__ = ["Behavior"]


class Behavior:
    """What stands between the core and the readouts.

    Parameters
    ----------
    model
        The old model.
    num_steps
        Steps that a recurrent layer runs through.
    taken
        Its shared tensors.

    Attributes
    ----------
    projection
        Weight (D, D) and offset (D,) of a linear map behind it, for which there is no place but the readouts; or None.

    Raises
    ------
    CheckpointError
        Where weights lack, or cannot be carried over exactly.
    """

    def __init__(self, model: OldModel, num_steps: int, taken: Taken) -> None:
        self._num_steps = num_steps
        kind = None if model.modulator is None else model.modulator.kind
        self._kind = kind
        self._activation = "gelu" if model.modulator is None else model.modulator.activation
        self._perceptron: Perceptron | None = None
        self._unit: tuple[Tensor, ...] | None = None
        self.projection: tuple[Tensor, Tensor] | None = None
        if kind == "convgru":
            embedding = (taken.need("modulator.beh_emb.weight"), taken.need("modulator.beh_emb.bias"))
            self._perceptron = Perceptron((), embedding)
            self._unit = _unit(taken, "modulator.gru")
            weight = taken.need("modulator.output_proj.weight")[:, :, 0, 0]
            self.projection = (weight, taken.need("modulator.output_proj.bias"))
        elif model.modulator is not None:
            self._perceptron = _encoder(taken, model.modulator, num_steps if model.remembers else 1)
        if model.recurrent is not None:
            self._unit = _unit(taken, "recurrent")

    def fits(self, options: EncoderOptions, fit: Fit) -> bool:
        """Compare the run's modulator and recurrent layers; whether they are of the same kinds."""
        ours, layers = options.modulator, options.recurrent
        if self._unit is not None and self._kind in ("concat", "convgru"):  # together they are one modulator here
            fit.same("model.recurrent", len(layers), 0)
            if ours is None:
                return self._lacks(ours, "conv_gru", fit)
            assert self._perceptron is not None
            more = {"num_embedding": len(self._perceptron.output[1]), **self._perceptron_options()}
            return self._unit_fits("model.modulator", ours, fit, more)
        if self._perceptron is None:
            fit.same("model.modulator", None if ours is None else ours.name, None)
        elif ours is None or self._kind is None:
            return self._lacks(ours, str(self._kind), fit)
        else:
            more = {"num_channels": len(self._perceptron.output[1])} if self._kind == "concat" else {}
            if not fit.options("model.modulator", ours, self._kind, **self._perceptron_options(), **more):
                return False
        fit.same("model.recurrent", len(layers), 0 if self._unit is None else 1)
        if self._unit is None or len(layers) != 1:
            return self._unit is None and not layers
        return self._unit_fits(f"model.recurrent.{layers[0].id}", layers[0], fit, {})

    def _lacks(self, ours: Choice | None, needed: str, fit: Fit) -> bool:
        if ours is None:
            fit.same("model.modulator", None, needed)
        return False

    def _unit_fits(self, key: str, choice: Choice, fit: Fit, more: dict[str, object]) -> bool:
        assert self._unit is not None
        size = self._unit[0].shape[-1]
        return fit.options(
            key,
            choice,
            "conv_gru",
            hidden_channels=len(self._unit[1]) // 3,
            kernel_size=size,
            compat="visioncore",
            steps=self._num_steps,
            **more,
        )

    def _perceptron_options(self) -> dict[str, object]:
        assert self._perceptron is not None
        hidden = self._perceptron.sizes
        return {"hidden": hidden, **({"activation": self._activation} if hidden else {})}

    def state(self, size: tuple[int, int]) -> dict[str, Tensor]:
        """State of ``modulator.*`` and ``recurrent.*``, in float64, for features of this height and width."""
        made: dict[str, Tensor] = {}
        if self._perceptron is not None:
            made |= self._perceptron.state("modulator.perceptron.")
        if self._unit is not None:
            name = "modulator.unit" if self._kind in ("concat", "convgru") else "recurrent.0"
            parts = ("inputs.weight", "inputs.bias", "gates.weight", "candidate.weight")
            tensors = [tensor if tensor.ndim == 1 else _touching(tensor, size) for tensor in self._unit]
            made |= {f"{name}.{part}": tensor for part, tensor in zip(parts, tensors, strict=True)}
        return made


def _encoder(taken: Taken, modulator: Modulator, num_steps: int) -> Perceptron:
    """Perceptron of `concat` and `film`, with the maps to scale and shift multiplied into its output."""
    perceptron = Perceptron.read(taken, "modulator.encoder")
    if modulator.residual and perceptron.num_inputs == len(perceptron.output[1]):
        what = "cannot be carried over exactly: its perceptron adds its input to its output"
        raise CheckpointError(Problem(where=taken.where, key="modulator.params.encoder_params.residual", what=what))
    if modulator.kind != "film":
        return perceptron
    maps = [(taken.need(f"modulator.{part}_layer.weight").repeat(num_steps, 1),
             taken.need(f"modulator.{part}_layer.bias").repeat(num_steps))
            for part in ("scale", "shift")]  # fmt: skip
    weight, bias = (torch.cat([one[index] for one in maps]) for index in range(2))
    return perceptron.then(weight, bias)


def _touching(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle of a kernel (..., H, W) along axes with a single pixel: the rest lay beyond the border."""
    for axis, pixels in zip((-2, -1), size, strict=True):
        if pixels == 1:
            kernel = kernel.narrow(axis, kernel.shape[axis] // 2, 1)
    return kernel


def _unit(taken: Taken, name: str) -> tuple[Tensor, ...]:
    """Input weights, offsets, gate and candidate weights of a `ConvGRU`.

    VisionCore's update gate z lets the new in, ``h <- (1 - z) h + z n``, where ours keeps the old: it changes its sign.
    """
    cell = f"{name}.cells.0"
    gates = [taken.need(f"{cell}.{gate}_gate.weight") for gate in ("reset", "update", "out")]
    biases = [taken.need(f"{cell}.{gate}_gate.bias") for gate in ("reset", "update", "out")]
    hidden = len(biases[0])
    gates[1], biases[1] = -gates[1], -biases[1]
    num_inputs = gates[0].shape[1] - hidden
    inputs = torch.cat([gate[:, :num_inputs] for gate in gates]).unsqueeze(2)
    states = [gate[:, num_inputs:] for gate in gates]
    return inputs, torch.cat(biases), torch.cat(states[:2]), states[2]
