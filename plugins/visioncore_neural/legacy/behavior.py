"""Modulator and recurrent layer of an old model as those of the encoder. C channels, D hidden channels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from visioncore_engine.errors import CheckpointError, Problem
from visioncore_engine.options import Choice
from visioncore_neural.legacy.core import Lags
from visioncore_neural.legacy.fit import Fit
from visioncore_neural.legacy.kernels import Taken
from visioncore_neural.legacy.model import Modulator, OldModel
from visioncore_neural.options.model import EncoderOptions

__all__ = ["Behavior"]


@dataclass(frozen=True)
class _Perceptron:
    """Hidden layers as (weight, bias), and the linear map of the last of them to the output."""

    hidden: tuple[tuple[Tensor, Tensor], ...]
    output: tuple[Tensor, Tensor]

    def state(self, name: str) -> dict[str, Tensor]:
        """State of a `SidePerceptron` of this name."""
        made = {f"{name}.output.weight": self.output[0], f"{name}.output.bias": self.output[1]}
        for number, (weight, bias) in enumerate(self.hidden):
            made |= {f"{name}.hidden.{2 * number}.weight": weight, f"{name}.hidden.{2 * number}.bias": bias}
        return made


class Behavior:
    """What stands between the core and the readouts.

    Parameters
    ----------
    model, lags
        The old model.
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

    def __init__(self, model: OldModel, lags: Lags, taken: Taken) -> None:
        self._taken, self._lags = taken, lags
        kind = None if model.modulator is None else model.modulator.kind
        self._kind = kind
        self._recurrent = model.recurrent
        self._activation = "gelu" if model.modulator is None else model.modulator.activation
        self._perceptron: _Perceptron | None = None
        self._unit: tuple[Tensor, ...] | None = None
        self.projection: tuple[Tensor, Tensor] | None = None
        if kind == "convgru":
            embedding = (taken.need("modulator.beh_emb.weight"), taken.need("modulator.beh_emb.bias"))
            self._perceptron = _Perceptron((), embedding)
            self._unit = _unit(taken, "modulator.gru")
            weight = taken.need("modulator.output_proj.weight")[:, :, 0, 0]
            self.projection = (weight, taken.need("modulator.output_proj.bias"))
        elif model.modulator is not None:
            self._perceptron = _encoder(taken, model.modulator)
        if model.recurrent:
            self._unit = _unit(taken, "recurrent")

    def fits(self, options: EncoderOptions, fit: Fit) -> bool:
        """Compare the run's modulator and recurrent layers; whether they are of the same kinds."""
        ours, layers = options.modulator, options.recurrent
        if self._unit is not None and self._perceptron is not None:  # together they are one modulator here
            fit.same("model.recurrent", len(layers), 0)
            if ours is None:
                return self._lacks(ours, "conv_gru", fit)
            return self._unit_fits("model.modulator", ours, fit)
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
        return self._unit_fits(f"model.recurrent.{layers[0].id}", layers[0], fit)

    def _lacks(self, ours: Choice | None, needed: str, fit: Fit) -> bool:
        if ours is None:
            fit.same("model.modulator", None, needed)
        return False

    def _unit_fits(self, key: str, choice: Choice, fit: Fit) -> bool:
        assert self._unit is not None
        more = {} if self._perceptron is None else self._perceptron_options()
        if self._perceptron is not None:
            more["num_embedding"] = len(self._perceptron.output[1])
        size = self._unit[0].shape[-1]
        return fit.options(
            key,
            choice,
            "conv_gru",
            hidden_channels=len(self._unit[1]) // 3,
            kernel_size=size,
            burn_in=self._lags.steps - 1,
            unroll="per_prediction",
            compat="visioncore",
            **more,
        )

    def _perceptron_options(self) -> dict[str, object]:
        assert self._perceptron is not None
        hidden = tuple(len(bias) for _, bias in self._perceptron.hidden)
        return {"hidden": hidden, **({"activation": self._activation} if hidden else {})}

    def state(self) -> dict[str, Tensor]:
        """State of ``modulator.*`` and ``recurrent.*``, in float64."""
        made: dict[str, Tensor] = {}
        if self._perceptron is not None:
            made |= self._perceptron.state("modulator.perceptron")
        if self._unit is not None:
            name = "recurrent.0" if self._perceptron is None else "modulator.unit"
            parts = ("inputs.weight", "inputs.bias", "gates.weight", "candidate.weight")
            made |= {f"{name}.{part}": tensor for part, tensor in zip(parts, self._unit, strict=True)}
        return made


def _encoder(taken: Taken, modulator: Modulator) -> _Perceptron:
    """Perceptron of `concat` and `film`, with the maps to scale and shift multiplied into its output."""
    hidden: list[tuple[Tensor, Tensor]] = []
    last: tuple[Tensor, Tensor] | None = None
    while last is None:
        name = f"modulator.encoder.mlp.{len(hidden)}"
        weight = taken.find(f"{name}.linear.weight")
        if weight is not None:
            hidden.append((weight, _offset(taken, f"{name}.linear.bias", weight)))
        elif hidden and taken.find(f"{name}.weight") is None:  # its last layer had a nonlinearity too
            size = len(hidden[-1][1])
            last = (torch.eye(size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64))
        else:
            weight = taken.need(f"{name}.weight")
            last = (weight, _offset(taken, f"{name}.bias", weight))
    num_inputs = (hidden[0] if hidden else last)[0].shape[1]
    if modulator.residual and num_inputs == len(last[1]):
        what = "cannot be carried over exactly: its perceptron adds its input to its output"
        raise CheckpointError(Problem(where=taken.where, key="modulator.params.encoder_params.residual", what=what))
    if modulator.kind == "film":
        maps = [(taken.need(f"modulator.{part}_layer.weight"), taken.need(f"modulator.{part}_layer.bias"))
                for part in ("scale", "shift")]  # fmt: skip
        weight, bias = (torch.cat([one[index] for one in maps]) for index in range(2))
        last = (weight @ last[0], weight @ last[1] + bias)
    return _Perceptron(tuple(hidden), last)


def _offset(taken: Taken, name: str, weight: Tensor) -> Tensor:
    bias = taken.find(name)
    return weight.new_zeros(len(weight)) if bias is None else bias


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
