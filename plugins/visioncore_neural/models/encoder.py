"""The encoding model. B windows, C channels, T input frames, L predicted frames, H, W pixels, N units."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

import torch
from torch import Tensor, nn

from visioncore_common.names import module_name
from visioncore_engine.contracts import Batch, Group, GroupSpec, ModelFacts
from visioncore_engine.errors import DataError, Problem, nearest
from visioncore_neural.models.activations import make_activation
from visioncore_neural.models.assembly import build_adapters, build_modulator, build_readouts, build_stages, shared_dt
from visioncore_neural.models.sides import BatchSides
from visioncore_neural.options.model import EncoderOptions
from visioncore_neural.responses import tasks_of

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
        Whether a part normalises over the batch, so that a prediction depends on the batch that it was in.
    stochastic
        Whether a part draws at random in training (dropout).

    Raises
    ------
    ConfigError, DataError, PluginError
        Where parts do not fit the data or each other, with the name of the part.
    """

    def __init__(self, options: EncoderOptions, facts: ModelFacts) -> None:
        super().__init__()
        groups = facts.groups
        self._tasks = tasks_of(groups)
        self._activation = make_activation(options.activation, options.sharpness)
        dt = shared_dt(groups)
        self.adapters, shape = build_adapters(options.adapter, groups)
        self.core, shape = build_stages("core", options.core, shape, dt)
        self.modulator, shape = build_modulator(options.modulator, groups, shape)
        self.recurrent, shape = build_stages("recurrent", options.recurrent, shape, dt)
        self.readouts = build_readouts(options.readout, groups, shape)
        self._start_at_means(groups)
        stages = [*self.core, *self.recurrent]
        self.history: int = sum(int(stage.history) + int(stage.burn_in) for stage in stages)
        parts = list(self.modules())[1:]
        self.batch_statistics = any(getattr(part, "batch_statistics", False) for part in parts)
        self.stochastic = any(getattr(part, "stochastic", False) for part in parts)

    def forward(self, batch: Batch) -> list[dict[str, Tensor]]:
        """Predict the rates of every group: one mapping task -> (B, L, N) per group, in the batch's order."""
        if not batch.groups:
            return []
        readouts = [self.readout(group.name) for group in batch.groups]
        shares = torch.split(self.features(batch), [len(group.inputs) for group in batch.groups])
        return [
            {self._tasks[group.name]: self._rates(readout(share))}
            for group, readout, share in zip(batch.groups, readouts, shares, strict=True)
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

    def _start_at_means(self, groups: Sequence[GroupSpec]) -> None:
        for group in groups:
            ((_, target),) = group.targets.items()
            if target.mean:
                # In this order a NaN mean (nothing valid) loses the comparison, and gets the floor too.
                drives = [self._activation.inverse(max(MIN_START_RATE, mean)) for mean in target.mean]
                bias = self.readouts.get_parameter(f"{module_name(group.name)}.bias")
                with torch.no_grad():
                    bias.copy_(bias.new_tensor(drives))

    def _adapt(self, group: Group) -> Tensor:
        inputs = group.inputs.to(next(self.parameters()).dtype)
        return self.adapters[module_name(group.name)](inputs) if self.adapters else inputs

    def _rates(self, drive: Tensor) -> Tensor:
        # In at least float32, also under autocast: a bfloat16 rate has two digits, its logarithm fewer.
        return self._activation(drive.to(torch.promote_types(drive.dtype, torch.float32)))


def _run(stages: nn.ModuleList, features: Tensor) -> Tensor:
    for stage in stages:
        # Channels last: on it, convolutions are up to twice and norms over a frame ten times as fast (CPU).
        features = stage(features.contiguous(memory_format=torch.channels_last_3d))[:, :, stage.burn_in :]
    return features
