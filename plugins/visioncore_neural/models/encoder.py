"""The encoding model. B windows, C channels, T input frames, L predicted frames, H, W pixels, N units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from urllib.parse import unquote

import torch
from torch import Tensor, nn

from visioncore_common.names import module_name
from visioncore_engine.contracts import (
    AdapterFacts,
    Batch,
    Group,
    GroupSpec,
    ModelFacts,
    ModulatorFacts,
    ReadoutFacts,
    StageFacts,
)
from visioncore_engine.errors import ConfigError, DataError, Problem, nearest
from visioncore_engine.options import Choice
from visioncore_neural.models.activations import make_activation
from visioncore_neural.models.parts import Part, Shape
from visioncore_neural.models.sides import BatchSides, SharedSides
from visioncore_neural.options.model import EncoderOptions
from visioncore_neural.responses import response_task

__all__ = ["MIN_START_RATE", "Encoder"]

MIN_START_RATE = 1e-3
"""Rate, in the target's unit per frame, that a unit starts with at least: one that is silent, or masked throughout the
training data, would otherwise start at minus infinity."""


class Encoder(nn.Module):
    """Frames to rates: one shared core between an adapter and a readout per recording.

    Each group's frames pass its own adapter; the windows of all groups of the micro-batch then go through the shared
    stages in *one* pass, and each group's share of the features through its own readout and the output nonlinearity.
    Parameters are named ``adapters.<group>.*``, ``core.<i>.*``, ``modulator.*``, ``recurrent.<i>.*``,
    ``readouts.<group>.*``, with `module_name` of the group, never by its position.

    A readout's bias starts where the output is the mean of the unit's training responses (`MIN_START_RATE` at least).

    Parameters
    ----------
    options
        What the user wrote.
    facts
        The groups; they may differ in shape where there is an adapter.

    Attributes
    ----------
    history
        Input frames before the first predicted one: every stage's history and burn-in.
    batch_statistics
        Whether a stage normalises over the batch, so that a prediction depends on the batch that it was in.
    stochastic
        Whether a stage draws at random in training (dropout).

    Raises
    ------
    ConfigError, DataError, PluginError
        Where parts do not fit the data or each other, with the name of the part.
    """

    def __init__(self, options: EncoderOptions, facts: ModelFacts) -> None:
        super().__init__()
        self._tasks = {group.name: response_task(group)[0] for group in facts.groups}
        self._activation = make_activation(options.activation, options.sharpness)
        self._dt = _shared_dt(facts.groups)
        self.adapters, shape = _adapters(options.adapter, facts.groups)
        self.core, shape = self._stages("core", options.core, shape)
        self.modulator, shape = _modulator(options.modulator, facts.groups, shape)
        self.recurrent, shape = self._stages("recurrent", options.recurrent, shape)
        self.readouts = self._readouts(options.readout, facts.groups, shape)
        stages = [*self.core, *self.recurrent]
        self.history: int = sum(int(stage.history) + int(stage.burn_in) for stage in stages)
        self.batch_statistics = any(getattr(stage, "batch_statistics", False) for stage in stages)
        self.stochastic = any(getattr(stage, "stochastic", False) for stage in stages)

    def forward(self, batch: Batch) -> list[dict[str, Tensor]]:
        """Predict the rates of every group: one mapping task -> (B, L, N) per group, in the batch's order."""
        if not batch.groups:
            return []
        shares = torch.split(self.features(batch), [len(group.inputs) for group in batch.groups])
        return [
            {self._tasks[group.name]: self._rates(self.readout(group.name)(share))}
            for group, share in zip(batch.groups, shares, strict=True)
        ]

    def features(self, batch: Batch) -> Tensor:
        """Features that the readouts see: (sum of B over the groups, C, L, H, W), L = T - history."""
        features = torch.cat([self._adapt(group) for group in batch.groups])
        if features.shape[2] <= self.history:
            raise DataError(
                Problem(
                    what=f"windows must be longer than the model's history of {self.history} frames",
                    given=f"{features.shape[2]} frames",
                )
            )
        features = _run(self.core, features)
        if self.modulator is not None:
            features = self.modulator(features, BatchSides(batch.groups, features))
        return _run(self.recurrent, features)

    def readout(self, group: str) -> nn.Module:
        """Readout of a group, by the group's name.

        Raises
        ------
        DataError
            Where the model has no such group.
        """
        name = module_name(group)
        if name not in self.readouts:
            known = [unquote(key) for key in self.readouts]
            close = nearest(group, known)
            raise DataError(
                Problem(
                    what=f"the model has no group named {group!r}",
                    todo=f"did you mean {close!r}?" if close else f"its groups are {', '.join(known)}",
                )
            )
        return self.readouts[name]

    def _adapt(self, group: Group) -> Tensor:
        weight = self.readout(group.name).bias
        inputs = group.inputs.to(weight.dtype) if isinstance(weight, Tensor) else group.inputs
        return self.adapters[module_name(group.name)](inputs) if self.adapters else inputs

    def _rates(self, drive: Tensor) -> Tensor:
        # In at least float32, also under autocast: a bfloat16 rate has two digits, its logarithm fewer.
        return self._activation(drive.to(torch.promote_types(drive.dtype, torch.float32)))

    def _stages(self, slot: str, choices: Sequence[Choice], shape: Shape) -> tuple[nn.ModuleList, Shape]:
        stages = nn.ModuleList()
        for choice in choices:
            part = Part(choice, f"model.{slot}.{choice.id}")
            stage = part.build(StageFacts(in_shape=shape, dt=self._dt))
            frames = stage.history + 2
            out_shape: Shape = tuple(stage.out_shape)
            part.attempt(stage, stage, _frames(shape, frames), _frames(out_shape, 2))
            stages.append(stage)
            shape = out_shape
        return stages, shape

    def _readouts(self, choice: Choice, groups: Sequence[GroupSpec], shape: Shape) -> nn.ModuleDict:
        readouts = nn.ModuleDict()
        part = Part(choice, "model.readout")
        for group in groups:
            target = group.targets[self._tasks[group.name]]
            readout = part.build(ReadoutFacts(in_shape=shape, group=group, target=target))
            part.attempt(readout, readout, _frames(shape, 2), (1, 2, target.size))
            if target.mean:
                # In this order a NaN mean (nothing valid) loses the comparison, and gets the floor too.
                starts = [max(MIN_START_RATE, mean) for mean in target.mean]
                drives = torch.tensor([self._activation.inverse(start) for start in starts])
                with torch.no_grad():
                    readout.bias.copy_(drives)
            readouts[module_name(group.name)] = readout
        return readouts


def _run(stages: nn.ModuleList, features: Tensor) -> Tensor:
    for stage in stages:
        # Channels last: on it, convolutions are up to twice and norms over a frame ten times as fast (CPU).
        features = stage(features.contiguous(memory_format=torch.channels_last_3d))[:, :, stage.burn_in :]
    return features


def _frames(shape: Shape, num_frames: int) -> tuple[int, ...]:
    return (1, shape[0], num_frames, *shape[1:])


def _input_shape(group: GroupSpec) -> Shape:
    if len(group.input_shape) != 3:
        raise DataError(
            Problem(
                where=group.name,
                what="the encoder reads frames of shape (C, H, W); data without space have H = W = 1",
                given=str(tuple(group.input_shape)),
            )
        )
    channels, height, width = group.input_shape
    return channels, height, width


def _shared_dt(groups: Sequence[GroupSpec]) -> float | None:
    first = groups[0]
    for group in groups[1:]:
        if (group.dt is None) != (first.dt is None) or not math.isclose(group.dt or 0.0, first.dt or 0.0, rel_tol=1e-3):
            raise DataError(
                Problem(
                    where=group.name,
                    what=f"frames last {group.dt} s here, {first.dt} s in {first.name}; a shared core needs one rate",
                    todo="resample the recordings, or train them apart",
                )
            )
    return first.dt


def _adapters(choice: Choice | None, groups: Sequence[GroupSpec]) -> tuple[nn.ModuleDict, Shape]:
    adapters, shapes = nn.ModuleDict(), {}
    for group in groups:
        shape = shapes[group.name] = _input_shape(group)
        if choice is None:
            continue
        part = Part(choice, "model.adapter")
        adapter = part.build(AdapterFacts(in_shape=shape, group=group))
        out_shape: Shape = tuple(adapter.out_shape)
        part.attempt(adapter, adapter, _frames(shape, 2), _frames(out_shape, 2))
        adapters[module_name(group.name)] = adapter
        shapes[group.name] = out_shape
    first = groups[0].name
    for name, shape in shapes.items():
        if shape != shapes[first]:
            raise ConfigError(
                Problem(
                    key="model.adapter",
                    what="a shared core needs frames (C, H, W) of one shape",
                    given=f"{first}: {shapes[first]}, {name}: {shape}",
                    todo="choose an adapter that brings them to one shape" if choice is None else "mend the adapter",
                )
            )
    return adapters, shapes[first]


def _modulator(choice: Choice | None, groups: Sequence[GroupSpec], shape: Shape) -> tuple[nn.Module | None, Shape]:
    if choice is None:
        return None, shape
    part, side = Part(choice, "model.modulator"), SharedSides(groups)
    modulator: nn.Module = part.build(ModulatorFacts(in_shape=shape, side=side))
    zeros = {name: torch.zeros(1, 2, size) for name, size in side.items()}
    out_shape: Shape = tuple(modulator.out_shape)  # type: ignore[arg-type]  # (C, H, W) by the protocol of modulators
    part.attempt(modulator, lambda features: modulator(features, zeros), _frames(shape, 2), _frames(out_shape, 2))
    return modulator, out_shape
