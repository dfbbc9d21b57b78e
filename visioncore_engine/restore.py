"""A trained model from a checkpoint alone: no data, no run file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from visioncore_engine.build import build_model
from visioncore_engine.checkpoint import offered_weights, read_checkpoint, trained_weights
from visioncore_engine.config import resolve_part
from visioncore_engine.contracts import Batch, Group, GroupSpec
from visioncore_engine.describe import groups_of
from visioncore_engine.errors import CheckpointError, Problem, RunError, UsageError, UserError, nearest
from visioncore_engine.objective import predict
from visioncore_engine.options import Choice, Options, Slot
from visioncore_engine.registry import Registry, discover

__all__ = ["TrainedModel", "load", "load_weights", "refuse_misfits"]

_TOLD = 6  # tensors that a message names


class _ModelBlock(Options):
    seed: int
    model: Annotated[Choice, Slot("model")]


class TrainedModel(nn.Module):
    """A model in eval mode, without gradients, that knows its groups and their columns by name.

    Attributes
    ----------
    model
        The model as it was trained.
    groups
        Specification of each group, by name.
    description
        What the checkpoint says of itself: the resolved run, the record, the fingerprints, the scores.
    """

    def __init__(self, model: nn.Module, groups: Mapping[str, GroupSpec], description: Mapping[str, Any]) -> None:
        super().__init__()
        self.model = model
        self.groups = MappingProxyType(dict(groups))
        self.description = MappingProxyType(dict(description))
        self.eval()
        self.requires_grad_(requires_grad=False)

    @property
    def history(self) -> int:
        """Input frames before the first predicted one."""
        return int(self.description["history"])

    def ids(self, group: str, task: str | None = None) -> tuple[str, ...]:
        """Ids of a group's target columns (names of units, of classes), in the order of the outputs."""
        targets = self._group(group).targets
        return targets[task or next(iter(targets))].ids

    def _group(self, name: str) -> GroupSpec:
        if name not in self.groups:
            close = nearest(name, self.groups)
            raise UsageError(
                Problem(
                    what=f"the model has no group {name!r}",
                    todo=(f"did you mean {close!r}? " if close else "") + f"groups: {', '.join(self.groups)}",
                )
            )
        return self.groups[name]

    def forward(
        self, group: str, inputs: Tensor, side: Mapping[str, Tensor] | None = None, task: str | None = None
    ) -> Tensor:
        """Predict one group.

        Parameters
        ----------
        group
            Name of the group.
        inputs
            (B, C, T, H, W) with T > `history` for sequences, oldest first; (B, C, H, W) for examples.
        side
            Side inputs by name, (B, T, K).
        task
            Which target; the first where not given.

        Returns
        -------
        (B, T - history, N) for sequences, (B, classes) for examples.

        Raises
        ------
        UsageError
            For an unknown group, a wrong input shape, or a missing side input.
        """
        spec = self._group(group)
        sequence = spec.dt is not None
        expected = (spec.input_shape[0], None, *spec.input_shape[1:]) if sequence else spec.input_shape
        if inputs.ndim != len(expected) + 1 or any(
            size is not None and size != given for size, given in zip(expected, inputs.shape[1:], strict=True)
        ):
            shape = ", ".join("T" if size is None else str(size) for size in expected)
            raise UsageError(Problem(what=f"group {group!r} takes inputs (B, {shape})", given=str(tuple(inputs.shape))))
        needed = sorted(set(spec.side) - set(side or {})) if getattr(self.model, "side_inputs", ()) else []
        if needed:
            raise UsageError(Problem(what=f"the model of group {group!r} needs the side input {', '.join(needed)}"))
        batch_size = inputs.shape[0]
        length = inputs.shape[2] - self.history if sequence else 0
        if sequence and length < 1:
            raise UsageError(
                Problem(what=f"the model needs more than {self.history} frames", given=f"{inputs.shape[2]} frames")
            )
        parameter = next(self.model.parameters())
        batch = Batch(
            [
                Group(
                    name=group,
                    index=list(self.groups).index(group),
                    inputs=inputs.to(parameter.device, parameter.dtype),
                    targets={},
                    mask=torch.ones((batch_size, length, 1) if sequence else (batch_size,), dtype=torch.bool),
                    items=torch.arange(batch_size),
                    side={name: value.to(parameter.device, parameter.dtype) for name, value in (side or {}).items()},
                )
            ]
        )
        output = predict(self.model, batch)[0]
        return output[task or next(iter(spec.targets))]


def load(path: str | Path, *, registry: Registry | None = None) -> TrainedModel:
    """Load a trained model from a checkpoint.

    Parameters
    ----------
    path
        A checkpoint file, e.g. ``runs/demo/<time>/checkpoints/best.ckpt``.
    registry
        Plugins to build the model from; the installed ones by default.

    Raises
    ------
    CheckpointError
        Where the file cannot be used, or does not fit the installed plugins' model.
    PluginError
        Where a component of the model is not installed.

    Examples
    --------
    >>> model = load("runs/demo/checkpoints/best.ckpt")  # doctest: +SKIP
    >>> rates = model("m1_a", torch.zeros(1, 1, 64, 24, 24))  # doctest: +SKIP
    """
    payload = read_checkpoint(path)
    own = payload["visioncore"]
    part = _resolve_model(own, registry, str(path))
    groups = groups_of(payload, str(path))
    try:
        model = build_model(part.model, groups, part.seed)
    except RunError as error:  # what it is built from stands in the file
        what = f"its model cannot be built: {str(error).removeprefix('run failed: ')}"
        todo = "the file was changed, or the plugin is not the one that it was made with"
        raise CheckpointError(Problem(where=str(path), what=what, todo=todo)) from error
    load_weights(model, payload, str(path))
    return TrainedModel(model, {group.name: group for group in groups}, own)


def _resolve_model(own: Mapping[str, Any], registry: Registry | None, path: str) -> _ModelBlock:
    """Resolve the model's block alone: a logger or sampler that is not installed here does not matter."""
    registry = registry or discover()
    content = {key: own["run"].get(key) for key in ("seed", "model")}
    try:
        return resolve_part(_ModelBlock, content, registry)
    except UserError as error:
        told = [replace(problem, where=path) for problem in error.problems]
        raise type(error)(*_absent_plugins(own, registry, path), *told) from error


def _absent_plugins(own: Mapping[str, Any], registry: Registry, path: str) -> list[Problem]:
    """Plugins that the model was made of, according to the record, and that cannot be used here."""
    record = own["record"]
    needed = [part.get("plugin") for part in _rows(record, "components") if str(part.get("key")).startswith("model")]
    usable = {plugin.name for plugin in registry.plugins if plugin.status == "loaded"}
    problems = []
    for plugin in _rows(record, "plugins"):
        name, distribution = plugin.get("name"), plugin.get("distribution")
        if name not in needed or name in usable:
            continue
        origin = f"{distribution}=={plugin.get('version')}" if distribution else "a single file"
        todo = f"install {origin}" if distribution else "give the file with --plugin"
        what = f"the checkpoint was made with plugin {name!r} ({origin}), which cannot be used here"
        problems.append(Problem(where=path, what=what, todo=todo))
    return problems


def _rows(record: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    rows = record.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def load_weights(model: nn.Module, payload: Mapping[str, Any], path: str) -> None:
    """Put the weights that a checkpoint offers into a model; every tensor must find its place.

    Raises
    ------
    CheckpointError
        With missing, unexpected and differently shaped tensors named.
    """
    refuse_misfits(model, payload, path)
    model.load_state_dict(offered_weights(payload), strict=True)


def refuse_misfits(model: nn.Module, payload: Mapping[str, Any], path: str) -> None:
    """Refuse a checkpoint whose weights are not those of a model.

    Raises
    ------
    CheckpointError
        With missing, unexpected and differently shaped tensors counted and named.
    """
    saved, own = trained_weights(payload), model.state_dict()
    missing = [f"missing {name!r}" for name in own if name not in saved]
    unexpected = [f"unexpected {name!r}" for name in saved if name not in own]
    shapes = [
        f"{name!r}: checkpoint {tuple(saved[name].shape)}, model {tuple(own[name].shape)}"
        for name in own
        if name in saved and saved[name].shape != own[name].shape
    ]
    told = [*shapes, *missing, *unexpected]
    if told:
        counts = f"{len(missing)} missing, {len(unexpected)} unexpected, {len(shapes)} of another shape"
        more = f"; and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
        raise CheckpointError(
            Problem(
                what=f"the weights do not fit the model: {counts}: {'; '.join(told[:_TOLD])}{more}",
                where=path,
                todo="the checkpoint is of another model, or a plugin changed it",
            )
        )
