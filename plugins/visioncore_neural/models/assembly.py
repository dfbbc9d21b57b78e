"""The parts of the encoder, one after another: each is built for the shape that the one before it makes."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from visioncore_common.names import module_name
from visioncore_engine.contracts import AdapterFacts, GroupSpec, ModulatorFacts, ReadoutFacts, StageFacts
from visioncore_engine.errors import ConfigError, DataError, Problem
from visioncore_engine.options import Choice
from visioncore_neural.models.history import History
from visioncore_neural.models.parts import Part, Shape
from visioncore_neural.models.sides import SharedSides
from visioncore_neural.options.model import HistoryOptions
from visioncore_neural.recording import PREVIOUS
from visioncore_neural.responses import response_task

__all__ = [
    "Stages",
    "build_adapters",
    "build_histories",
    "build_modulator",
    "build_readouts",
    "build_stages",
    "exposed",
    "modulated",
    "read",
    "shared_dt",
]


def shared_dt(groups: Sequence[GroupSpec]) -> float | None:
    """Seconds per frame, the same in every group to 0.1 %.

    Raises
    ------
    DataError
        Where groups differ.
    """
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


def build_adapters(choice: Choice | None, groups: Sequence[GroupSpec]) -> tuple[nn.ModuleDict, Shape]:
    """Build an adapter per group (none without a choice), and return the shape (C, H, W) that all groups then have.

    Raises
    ------
    ConfigError, DataError, PluginError
        Where groups have no common shape, or an adapter does not fit its group.
    """
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


class Stages(nn.ModuleList):
    """Stages that run one after another, without the frames over which recurrent ones only warm up."""

    def forward(self, features: Tensor) -> Tensor:
        """Run all stages: (B, C, T, H, W) -> (B, C', L, H', W')."""
        for stage in self:
            features = _after(stage, features)
        return features

    def each(self, features: Tensor) -> Iterator[Tensor]:
        """Run all stages, and yield the features after each, (B, C', L, H', W')."""
        for stage in self:
            features = _after(stage, features)
            yield features


def _after(stage: Any, features: Tensor) -> Tensor:
    # Channels last: on it, convolutions are up to twice and norms over a frame ten times as fast (CPU).
    output: Tensor = stage(features.contiguous(memory_format=torch.channels_last_3d))
    return output[:, :, stage.burn_in :]


def build_stages(slot: str, choices: Sequence[Choice], shape: Shape, dt: float | None) -> tuple[Stages, Shape]:
    """Build the stages of a slot for features of `shape`, and return the shape after the last.

    Raises
    ------
    ConfigError, PluginError
        Where a stage does not fit the one before it, or breaks its word; names the stage.
    """
    stages = Stages()
    for choice in choices:
        part = Part(choice, f"model.{slot}.{choice.id}")
        stage = part.build(StageFacts(in_shape=shape, dt=dt))
        frames = stage.history + 2
        out_shape: Shape = tuple(stage.out_shape)
        part.attempt(stage, stage, _frames(shape, frames), _frames(out_shape, 2))
        stages.append(stage)
        shape = out_shape
    return stages, shape


def exposed(patterns: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Parts that patterns name, in the order of `names`.

    Raises
    ------
    ConfigError
        Where a pattern matches none.
    """
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            what = f"pattern matches no part; parts are: {', '.join(names) or 'none'}"
            raise ConfigError(Problem(key="model.expose", what=what, given=repr(pattern)))
    return tuple(name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns))


def build_modulator(choice: Choice | None, groups: Sequence[GroupSpec], shape: Shape) -> tuple[nn.Module | None, Shape]:
    """Build the modulator, and return the shape after it.

    Raises
    ------
    ConfigError, PluginError
        Where a group lacks a side input that it needs, or it breaks its word.
    """
    if choice is None:
        return None, shape
    part, side = Part(choice, "model.modulator"), SharedSides(groups)
    modulator: nn.Module = part.build(ModulatorFacts(in_shape=shape, side=side))
    num_frames = int(getattr(modulator, "history", 0)) + 2
    zeros = {name: torch.zeros(1, num_frames, size) for name, size in side.items()}
    out_shape: Shape = tuple(modulator.out_shape)  # type: ignore[arg-type]  # (C, H, W) by the protocol of modulators
    part.attempt(
        modulator,
        lambda features: modulated(modulator, features, zeros)[0],
        _frames(shape, num_frames),
        _frames(out_shape, 2),
    )
    return modulator, out_shape


def modulated(modulator: nn.Module, features: Tensor, side: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Output of a modulator, and the values of its own losses; none for most."""
    output = modulator(features, side)
    return output if isinstance(output, tuple) else (output, {})


def build_readouts(choice: Choice, groups: Sequence[GroupSpec], shape: Shape) -> nn.ModuleDict:
    """Build a readout per group.

    Raises
    ------
    ConfigError, PluginError
        Where a readout does not fit the features, or breaks its word.
    """
    readouts = nn.ModuleDict()
    part = Part(choice, "model.readout")
    for group in groups:
        _, target = response_task(group)
        readout = part.build(ReadoutFacts(in_shape=shape, group=group, target=target))
        part.attempt(readout, readout, _frames(shape, 2), (1, 2, target.size))
        readouts[module_name(group.name)] = readout
    return readouts


def read(readouts: Sequence[nn.Module], features: Tensor, sizes: Sequence[int]) -> Sequence[Tensor]:
    """Drives (B, T, N) of several readouts, each for the next `sizes[i]` windows of the features."""
    kind: Any = type(readouts[0])
    if "together" in vars(kind) and all(type(own) is kind and not _is_hooked(own) for own in readouts):
        drives: Sequence[Tensor] = kind.together(readouts, features, sizes)
        return drives
    shares = torch.split(features, list(sizes))
    return [readout(share) for readout, share in zip(readouts, shares, strict=True)]


def _is_hooked(module: nn.Module) -> bool:
    # A hook waits for its module's own call.
    return bool(module._forward_hooks or module._forward_pre_hooks)  # noqa: SLF001 - torch tells it nowhere else


def build_histories(options: HistoryOptions | None, groups: Sequence[GroupSpec]) -> nn.ModuleDict:
    """Build the encoder of earlier responses of each group; none without options.

    Raises
    ------
    ConfigError
        Where a group comes without them.
    """
    histories = nn.ModuleDict()
    if options is None:
        return histories
    lacking = [group.name for group in groups if PREVIOUS not in group.side]
    if lacking:
        raise ConfigError(
            Problem(
                key="model.history",
                what=f"needs the side input {PREVIOUS!r}, which is missing in {lacking[0]}",
                todo=f"add it to `data.side`: [{PREVIOUS}]",
            )
        )
    for group in groups:
        histories[module_name(group.name)] = History(options, response_task(group)[1].size)
    return histories


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


def _frames(shape: Shape, num_frames: int) -> tuple[int, ...]:
    return (1, shape[0], num_frames, *shape[1:])
