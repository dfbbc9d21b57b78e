"""Weights of an old model as the state of a run's encoder, with an account of every tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from visioncore_common.names import module_name
from visioncore_engine.contracts import GroupSpec
from visioncore_engine.errors import CheckpointError, ConfigError, Problem, nearest
from visioncore_engine.options import Choice
from visioncore_neural.legacy.behavior import Behavior
from visioncore_neural.legacy.core import core_fits, core_weights
from visioncore_neural.legacy.fit import Fit
from visioncore_neural.legacy.heads import (
    adapter_weights,
    baseline_weights,
    gaussian_weights,
    history_weights,
    pooled_weights,
)
from visioncore_neural.legacy.kernels import Taken
from visioncore_neural.legacy.layout import OldWeights
from visioncore_neural.legacy.model import OldModel
from visioncore_neural.options.model import EncoderOptions
from visioncore_neural.options.readout import GaussianOptions

__all__ = ["Account", "Target", "converted"]

_READOUTS = {"gaussian": "gaussian", "linear": "pooled"}


@dataclass(frozen=True)
class Account:
    """What became of the tensors.

    Attributes
    ----------
    matched
        Tensors of the new model, all of which come from the file.
    missing, unexpected, shapes
        Tensors of the new model that the file does not give, of the file that nothing takes, and of both in two shapes.
    left_out
        Sessions of the file that the run does not have.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    shapes: tuple[str, ...]
    left_out: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """As plain values."""
        return {name: list(value) for name, value in asdict(self).items()}

    def lines(self) -> list[str]:
        """As text."""
        return [
            f"{name.replace('_', ' ')}: {len(found)}"
            + (f" ({', '.join(found)})" if found and name != "matched" else "")
            for name, found in self.plain().items()
        ]


@dataclass(frozen=True)
class Target:
    """The run's encoder.

    Attributes
    ----------
    choice
        Its block in the run file.
    model, groups
        As they were built.
    """

    choice: Choice
    model: nn.Module
    groups: Sequence[GroupSpec]

    @property
    def options(self) -> EncoderOptions:
        """Its options.

        Raises
        ------
        ConfigError
            Where the run's model is no encoder.
        """
        options = self.choice.options
        if not isinstance(options, EncoderOptions):
            what = "the weights are those of an encoder"
            raise ConfigError(Problem(key="model", what=what, given=self.choice.name))
        return options

    def size(self) -> tuple[int, int]:
        """Height and width of what the readouts see."""
        parts = dict(self.model.named_children())
        for name in ("recurrent", "modulator", "core", "adapters"):
            found = parts.get(name)
            stages = list(found.children()) if isinstance(found, nn.ModuleList | nn.ModuleDict) else [found]
            if stages and stages[-1] is not None:
                height, width = vars(stages[-1])["out_shape"][1:]
                return height, width
        return self.groups[0].input_shape[1], self.groups[0].input_shape[2]


def converted(
    old: OldWeights, model: OldModel, num_lags: int, target: Target, where: str
) -> tuple[dict[str, Tensor], Account]:
    """Convert weights for a run's model.

    Parameters
    ----------
    old
        The weights, sorted by session.
    model
        What the model file says of them.
    num_lags
        Frames of the stimulus that its data served.
    target
        The run's model.
    where
        The file, for messages.

    Returns
    -------
    The whole state of the run's model, in its dtypes, and the account.

    Raises
    ------
    CheckpointError
        For every tensor, option and session that does not fit.
    """
    try:
        return _converted(old, model, num_lags, target, where)
    except RuntimeError as error:  # torch's complaint about tensors whose shapes do not go together
        todo = "the file was changed, or the model file is of another model"
        what = f"its tensors do not fit each other: {error}"
        raise CheckpointError(Problem(where=where, what=what, todo=todo)) from error


def _converted(
    old: OldWeights, model: OldModel, num_lags: int, target: Target, where: str
) -> tuple[dict[str, Tensor], Account]:
    options, fit = target.options, Fit()
    shared = Taken(old.shared, where)
    sound = core_fits(model, num_lags, options, fit)
    behavior = Behavior(model, model.core(num_lags).num_steps if model.sees else 1, shared)
    sound &= behavior.fits(options, fit)
    sound &= _heads_fit(model, options, fit)
    heads = {group.name: Taken(_session(old, group, where), f"{where}: {group.name}") for group in target.groups}
    if fit.problems or not sound:
        raise CheckpointError(*fit.problems)
    made = {**core_weights(model, shared), **behavior.state(target.size())}
    problems: list[Problem] = []
    for name, taken in heads.items():
        try:
            for part, tensors in _head(model, options, taken, target.size(), behavior.projection).items():
                made |= {f"{part}.{module_name(name)}.{key}": value for key, value in tensors.items()}
        except CheckpointError as error:
            problems += error.problems
    if problems:
        raise CheckpointError(*problems)
    rest = [
        *old.unexpected,
        *shared.rest(),
        *(f"{name}: {key}" for name, taken in heads.items() for key in taken.rest()),
    ]
    return _accounted(made, target, rest, [name for name in old.sessions if name not in heads], where)


def _session(old: OldWeights, group: GroupSpec, where: str) -> Mapping[str, Tensor]:
    found = old.sessions.get(group.name)
    if found is None:
        close = nearest(group.name, old.sessions)
        todo = f"did you mean {close!r}? " if close else ""
        todo += f"name it with --sessions, or leave it out of the run; named are: {', '.join(old.sessions)}"
        raise CheckpointError(Problem(where=where, what=f"no session is called {group.name!r}", todo=todo))
    (target,) = group.targets.values()
    weight = found.get("readout.features.weight", found.get("readout.fc.weight"))
    if weight is not None and len(weight) != target.size:
        what = f"the readout of {group.name!r} has {len(weight)} units, and its recording has {target.size}"
        todo = "select the units that it was trained with, in that order (`select_units`)"
        raise CheckpointError(Problem(where=where, what=what, todo=todo))
    return found


def _heads_fit(model: OldModel, options: EncoderOptions, fit: Fit) -> bool:
    ours = options.adapter
    if model.adapter is None or ours is None:
        fit.same("model.adapter", None if ours is None else ours.name, None if model.adapter is None else "affine")
    elif fit.options("model.adapter", ours, "affine", transform=model.adapter[0], compat="visioncore"):
        size = getattr(ours.options, "grid_size")  # noqa: B009 - options of another plugin's component have no type here
        if size not in (model.adapter[1], (model.adapter[1],) * 2):
            fit.same("model.adapter.grid_size", size, model.adapter[1])
    fit.same("model.readout", options.readout.name, _READOUTS[model.readout])
    fit.same("model.activation", options.activation, model.activation)
    if options.sharpness not in (None, 1.0):
        fit.same("model.sharpness", options.sharpness, None)
    if (options.baseline is None) != (model.baseline is None):
        fit.refuse("model.baseline", "the file has none" if model.baseline is None else "the file has one", "change it")
    if options.dispersion is not None:
        fit.same("model.dispersion", options.dispersion, None)
    if model.history is None or options.history is None:
        kinds = ["null" if found is None else "a perceptron" for found in (options.history, model.history)]
        fit.same("model.history", *kinds)
    else:
        for name in ("num_lags", "hidden", "activation"):
            fit.same(f"model.history.{name}", getattr(options.history, name), getattr(model.history, name))
        fit.same("model.history.spectral_norm", options.history.spectral_norm, False)
    return not fit.problems


def _head(
    model: OldModel,
    options: EncoderOptions,
    taken: Taken,
    size: tuple[int, int],
    projection: tuple[Tensor, Tensor] | None,
) -> dict[str, dict[str, Tensor]]:
    readout = options.readout.options
    made = {}
    if isinstance(readout, GaussianOptions):
        made["readouts"] = gaussian_weights(taken, readout, size, projection)
    else:
        made["readouts"] = pooled_weights(taken, projection)
    if model.adapter is not None:
        made["adapters"] = adapter_weights(model, taken)
    if model.baseline is not None:
        made["rates.baselines"] = baseline_weights(model, taken)
    if model.history is not None:
        made["histories"], offset = history_weights(model.history, taken)
        made["readouts"]["bias"] = made["readouts"]["bias"] + offset
    return made


def _accounted(
    made: Mapping[str, Tensor], target: Target, rest: Sequence[str], left_out: Sequence[str], where: str
) -> tuple[dict[str, Tensor], Account]:
    own = target.model.state_dict()
    account = Account(
        matched=tuple(name for name in own if name in made and made[name].shape == own[name].shape),
        missing=tuple(name for name in own if name not in made),
        unexpected=(*rest, *(name for name in made if name not in own)),
        shapes=tuple(
            f"{name}: {tuple(made[name].shape)} in the file, {tuple(own[name].shape)} here"
            for name in own
            if name in made and made[name].shape != own[name].shape
        ),
        left_out=tuple(left_out),
    )
    told = {
        "the file does not give": account.missing,
        "nothing takes": account.unexpected,
        "of another shape": account.shapes,
    }
    problems = [
        Problem(
            where=where, what=f"{what}: {', '.join(names)}", todo="nothing is left out silently; mend the model file"
        )
        for what, names in told.items()
        if names
    ]
    if problems:
        raise CheckpointError(*problems)
    with torch.no_grad():
        return {name: made[name].to(value.dtype) for name, value in own.items()}, account
