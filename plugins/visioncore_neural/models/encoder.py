"""The encoding model. B windows, C channels, T input frames, L predicted frames, H, W pixels, N units."""

from __future__ import annotations

from urllib.parse import unquote

import torch
from torch import Tensor, nn

from visioncore_common.names import module_name
from visioncore_engine.contracts import Batch, Group, ModelFacts
from visioncore_engine.errors import DataError, Problem, nearest
from visioncore_neural.models.assembly import (
    Stages,
    build_adapters,
    build_histories,
    build_modulator,
    build_readouts,
    build_stages,
    exposed,
    modulated,
    read,
    shared_dt,
)
from visioncore_neural.models.parts import Shape
from visioncore_neural.models.rates import Rates
from visioncore_neural.models.sides import BatchSides
from visioncore_neural.options.model import EncoderOptions
from visioncore_neural.recording import PREVIOUS
from visioncore_neural.responses import tasks_of

__all__ = ["Encoder"]


class Encoder(nn.Module):
    """Frames to rates: one shared core between an adapter and a readout per recording.

    Each group's frames pass its own adapter; the windows of all groups of the micro-batch then go through the shared
    stages in *one* pass, and each group's share of the features through its own readout and the output nonlinearity.
    Parameters are named ``adapters.<group>.*``, ``core.<i>.*``, ``modulator.*``, ``recurrent.<i>.*``,
    ``readouts.<group>.*``, ``histories.<group>.*`` and ``rates.baselines.<group>.*``, with `module_name` of the group,
    never by its position.

    A readout's bias starts where the output is the mean of the unit's training responses (`MIN_START_RATE` at least).
    Where the drive of a unit is its log-rate, the outputs hold it too, as ``<task>/log_rate``; and, as
    ``features/<part>``, the features (B, L', C, H, W) after each part that `expose` names.

    Parameters
    ----------
    options
        What the user wrote.
    facts
        The groups; they may differ in shape where there is an adapter.

    Attributes
    ----------
    history
        Input frames before the first predicted one: every part's history and burn-in, or those that the responses of
        earlier frames need, if more.
    auxiliary
        Weight of each loss that the modulator brings.
    uses_inputs
        Whether the stimulus is read.
    compilable
        The core, whose inputs are the windows of all groups together; nothing where features in it are exposed.
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
        self.rates = Rates(options, groups)
        dt = shared_dt(groups)
        self.uses_inputs = options.stimulus
        shape: Shape = (1, 1, 1)
        self.adapters = nn.ModuleDict()
        if options.stimulus:
            self.adapters, shape = build_adapters(options.adapter, groups)
        self.core, shape = build_stages("core", options.core, shape, dt)
        self.modulator, shape = build_modulator(options.modulator, groups, shape)
        self.recurrent, shape = build_stages("recurrent", options.recurrent, shape, dt)
        self.readouts = build_readouts(options.readout, groups, shape)
        self.rates.start_at_means(groups, self.readouts)
        self.histories = build_histories(options.history, groups)
        parts = list(self.modules())[1:]
        visual = [*self.core, *self.recurrent, *([] if self.modulator is None else [self.modulator])]
        self._visual: int = sum(int(getattr(part, "history", 0)) + _burn_in(part) for part in visual)
        self.history = max(self._visual, 0 if options.history is None else options.history.num_lags - 1)
        self.auxiliary: dict[str, float] = dict(getattr(self.modulator, "auxiliary", {}))
        self.batch_statistics = any(getattr(part, "batch_statistics", False) for part in parts)
        self.stochastic = any(getattr(part, "stochastic", False) for part in parts)
        named = [f"{slot}.{index}" for slot in ("core", "recurrent") for index in range(len(getattr(self, slot)))]
        self._exposed = exposed(options.expose, named if self.modulator is None else [*named, "modulator"])
        self.compilable = ("core",) if self.core and not any(name.startswith("core.") for name in self._exposed) else ()

    def forward(self, batch: Batch) -> list[dict[str, Tensor]]:
        """Predict the rates of every group: one mapping task -> (B, L, N) per group, in the batch's order."""
        if not batch.groups:
            return []
        readouts = [self.readout(group.name) for group in batch.groups]
        sizes = [len(group.inputs) for group in batch.groups]
        features, extra = self._features(batch)
        drives = read(readouts, features, sizes)
        own = {name: torch.split(values, sizes) for name, values in extra.items()}
        return [
            {
                **self.rates(self._tasks[group.name], group.name, drive + self._from_history(group, features)),
                **{name: values[index] for name, values in own.items()},
            }
            for index, (group, drive) in enumerate(zip(batch.groups, drives, strict=True))
        ]

    def features(self, batch: Batch) -> Tensor:
        """Features that the readouts see: (sum of B over the groups, C, L, H, W), L = T - history."""
        return self._features(batch)[0]

    def _features(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Features, and further outputs, (sum of B, L' >= L, …) by name: the model's own losses, exposed features."""
        features = torch.cat([self._adapt(group) for group in batch.groups])
        if features.shape[2] <= self.history:
            raise DataError(
                Problem(
                    what=f"windows must be longer than the model's history of {self.history} frames",
                    given=f"{features.shape[2]} frames",
                )
            )
        extra: dict[str, Tensor] = {}
        features = self._staged("core", self.core, features[:, :, self.history - self._visual :], extra)
        if self.modulator is not None:
            features, auxiliary = modulated(self.modulator, features, BatchSides(batch.groups, features))
            begin = _burn_in(self.modulator)
            features = features[:, :, begin:]
            extra |= {f"auxiliary/{name}": values[:, begin:] for name, values in auxiliary.items()}
            self._expose("modulator", features, extra)
        return self._staged("recurrent", self.recurrent, features, extra), extra

    def _staged(self, slot: str, stages: Stages, features: Tensor, extra: dict[str, Tensor]) -> Tensor:
        if not any(name.startswith(f"{slot}.") for name in self._exposed):
            whole: Tensor = stages(features)
            return whole
        after = features
        for index, after in enumerate(stages.each(features)):
            self._expose(f"{slot}.{index}", after, extra)
        return after

    def _expose(self, name: str, features: Tensor, extra: dict[str, Tensor]) -> None:
        if name in self._exposed:
            extra[f"features/{name}"] = features.movedim(2, 1)

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
        like = next(self.parameters())
        if not self.uses_inputs:
            return torch.ones((len(group.inputs), 1, group.inputs.shape[2], 1, 1), dtype=like.dtype, device=like.device)
        inputs = group.inputs.to(like.dtype)
        return self.adapters[module_name(group.name)](inputs) if self.adapters else inputs

    def _from_history(self, group: Group, features: Tensor) -> Tensor | float:
        if not self.histories:
            return 0.0
        previous = BatchSides([group], features.new_empty((0, 0, group.inputs.shape[2])))[PREVIOUS]
        drive: Tensor = self.histories[module_name(group.name)](previous, features.shape[2])
        return drive


def _burn_in(part: nn.Module) -> int:
    return int(getattr(part, "burn_in", 0))
