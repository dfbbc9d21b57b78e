"""Weights from a trained model, taken over by name, with an account of every tensor; and parts that stay frozen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import torch
from torch import Tensor, nn

from visioncore_engine.checkpoint import content_digest, offered_weights, read_checkpoint
from visioncore_engine.config.transfer import TransferOptions
from visioncore_engine.contracts import GroupSpec
from visioncore_engine.describe import compare_groups, groups_of
from visioncore_engine.errors import CheckpointError, ConfigError, Problem, nearest
from visioncore_engine.folder import RunFolder

__all__ = ["Coverage", "Transfer", "freeze", "transfer"]

_TOLD = 6  # names in a message


@dataclass(frozen=True)
class Coverage:
    """What became of the tensors that one entry of `transfer.parts` names.

    Attributes
    ----------
    part
        The entry.
    matched
        Tensors taken over.
    changed
        Those of them whose values are others than before.
    missing
        Tensors of the model that the source does not have.
    unexpected
        Tensors of the source that the model does not have.
    shapes
        Tensors that both have in different shapes, in words.
    """

    part: str
    matched: tuple[str, ...]
    changed: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    shapes: tuple[str, ...]


@dataclass(frozen=True)
class Transfer:
    """What was taken over, and from where.

    Attributes
    ----------
    source
        The checkpoint.
    sha256
        Of its content.
    parts
        A row for each entry of `transfer.parts`.
    notes
        What differs between the run of the source and this one and is no error.
    """

    source: str
    sha256: str
    parts: tuple[Coverage, ...]
    notes: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """Return it as plain values, for the record."""
        rows = [
            {key: list(value) if key != "part" else value for key, value in asdict(row).items()} for row in self.parts
        ]
        return {"from": self.source, "sha256": self.sha256, "parts": rows, "notes": list(self.notes)}


def transfer(
    options: TransferOptions, model: nn.Module, groups: Sequence[GroupSpec], data: Mapping[str, Any], state: Any
) -> Transfer:
    """Take weights over into a model that was just built.

    Parameters
    ----------
    options
        The run's `transfer` block.
    model
        The model; changed in place.
    groups
        Groups of the run's data.
    data
        The run's `data` block as plain values, to compare with that of the source.
    state
        Preparation state of the run's data, likewise.

    Raises
    ------
    ConfigError
        Where an entry of `parts` names nothing in the model.
    CheckpointError
        Where the source cannot be read; where it lacks a tensor that is no head of a new group, has one that is no head
        of another group, or has one in another shape; where columns of a group are not those of the source; where not
        one value changes.
    """
    path = _source(options.source)
    payload = read_checkpoint(path)
    before = groups_of(payload, str(path))
    own = model.state_dict()
    there = offered_weights(payload)
    heads = _Heads(model, groups, before)
    rows: list[Coverage] = []
    problems: list[Problem] = []
    for part in options.parts:
        row = _cover(part, own, there)
        rows.append(row)
        problems += _problems(row, own, there, heads)
    if not problems:
        matched = [name for row in rows for name in row.matched]
        problems += heads.drifted(matched, str(path))
    if not problems and not any(row.changed for row in rows):
        what = "the source changes not one value of the model"
        problems.append(Problem(what=what, todo="is it the right file, and was it trained?"))
    if problems:
        kind = ConfigError if all(problem.key == "transfer.parts" for problem in problems) else CheckpointError
        raise kind(*problems).at(str(path), "transfer.from")
    with torch.no_grad():
        for name in dict.fromkeys(name for row in rows for name in row.matched):
            own[name].copy_(there[name])
    dts = (before[0].dt, groups[0].dt)
    notes = _differences(payload["visioncore"], getattr(model, "history", None), dts, data, state)
    return Transfer(str(path), content_digest(path), tuple(rows), tuple(notes))


def freeze(model: nn.Module, patterns: Iterable[str]) -> None:
    """Keep parts of a model as they are: no gradients, and eval mode whoever calls `train`.

    Parameters
    ----------
    model
        The model; changed in place.
    patterns
        Entries of `transfer.freeze`. A module all of whose parameters and buffers are named is frozen as a whole.

    Raises
    ------
    ConfigError
        For every pattern that matches nothing.
    """
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    frozen: set[str] = set()
    problems = []
    for pattern in patterns:
        found = [name for name in tensors if _names(pattern, name)]
        frozen.update(found)
        if not found:
            problems.append(_nothing_in_model(pattern, tensors, "transfer.freeze"))
    if problems:
        raise ConfigError(*problems)
    for name, parameter in model.named_parameters():
        if name in frozen:
            parameter.requires_grad = False
    for name, module in model.named_modules():
        inside = [f"{name}.{tensor}" if name else tensor for tensor, _ in _tensors(module)]
        if inside and frozen.issuperset(inside):
            module.eval()
            # Whoever switches the model to training (Lightning, the first look at every group) goes through `train`.
            module.train = partial(_stay, module)


def _stay(module: nn.Module, mode: bool = True) -> nn.Module:
    return module


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _names(part: str, name: str) -> bool:
    return name == part or name.startswith(f"{part}.") or fnmatchcase(name, part)


def _source(given: str) -> Path:
    path = Path(given)
    if not path.is_dir():
        return path
    folder = RunFolder(path)
    return folder.checkpoint("best" if (folder.checkpoints / "best.ckpt").exists() else "last")


def _cover(part: str, own: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> Coverage:
    wanted = [name for name in own if _names(part, name)]
    both = [name for name in wanted if name in there]
    matched = tuple(name for name in both if own[name].shape == there[name].shape)
    return Coverage(
        part=part,
        matched=matched,
        changed=tuple(name for name in matched if not torch.equal(own[name], there[name].to(own[name].dtype))),
        missing=tuple(name for name in wanted if name not in there),
        unexpected=tuple(name for name in there if _names(part, name) and name not in own),
        shapes=tuple(
            f"{name}: {tuple(there[name].shape)} there, {tuple(own[name].shape)} here"
            for name in both
            if own[name].shape != there[name].shape
        ),
    )


class _Heads:
    """Which tensors belong to the head of a group: those below its name in a `ModuleDict` over groups."""

    def __init__(self, model: nn.Module, here: Sequence[GroupSpec], there: Sequence[GroupSpec]) -> None:
        self._here = {group.name: group for group in here}
        self._there = {group.name: group for group in there}
        self._homes = [
            f"{name}."
            for name, module in model.named_modules()
            if isinstance(module, nn.ModuleDict) and len(module) and all(unquote(key) in self._here for key in module)
        ]

    def group(self, name: str) -> str | None:
        """Name of the group that a tensor is of; None where it is of all."""
        for home in self._homes:
            if name.startswith(home):
                return unquote(name.removeprefix(home).partition(".")[0])
        return None

    def is_new(self, name: str) -> bool:
        """Whether a tensor is of a group that the source does not have."""
        group = self.group(name)
        return group is not None and group not in self._there

    def is_left(self, name: str) -> bool:
        """Whether a tensor of the source is of a group that the run does not have."""
        group = self.group(name)
        return group is not None and group not in self._here

    def drifted(self, names: Iterable[str], path: str) -> Sequence[Problem]:
        """Groups whose heads would be taken over although their columns are not those of the source."""
        groups = dict.fromkeys(group for name in names if (group := self.group(name)) is not None)
        shared = [name for name in groups if name in self._here and name in self._there]
        try:
            compare_groups([self._here[name] for name in shared], [self._there[name] for name in shared], path)
        except CheckpointError as error:
            return error.problems
        return ()


def _problems(
    row: Coverage, own: Mapping[str, Tensor], there: Mapping[str, Tensor], heads: _Heads
) -> Iterator[Problem]:
    if not any(_names(row.part, name) for name in own):
        yield _nothing_in_model(row.part, own, "transfer.parts")
        return
    missing = [name for name in row.missing if not heads.is_new(name)]
    unexpected = [name for name in row.unexpected if not heads.is_left(name)]
    if not (row.matched or row.shapes or missing):
        yield Problem(what=f"nothing of part {row.part!r} is in the source", todo=f"the source has: {_few(there)}")
    todo = "name in transfer.parts only what both have, or mend the model"
    for what, names in (
        ("lacks", missing),
        ("has what the model lacks", unexpected),
        ("has in another shape", row.shapes),
    ):
        if names:
            yield Problem(what=f"of part {row.part!r}, the source {what}: {_few(names)}", todo=todo)


def _nothing_in_model(pattern: str, tensors: Iterable[str], key: str) -> Problem:
    names = list(tensors)
    parts = list(dict.fromkeys(name.partition(".")[0] for name in names))
    close = nearest(pattern, [*parts, *names])
    todo = (f"did you mean {close!r}? " if close else "") + f"its parts are: {', '.join(parts)}"
    return Problem(what="the model has no parameter or buffer of this name", key=key, given=repr(pattern), todo=todo)


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_TOLD]) + (f", … ({len(listed)} in all)" if len(listed) > _TOLD else "")


def _differences(
    source: Mapping[str, Any], history: int | None, dts: Sequence[float | None], data: Mapping[str, Any], state: Any
) -> Iterator[str]:
    """What differs in how the two models see their data, in words; `dts` there and here."""
    then, now = dts
    if (then is None) != (now is None) or (then and now and not math.isclose(then, now, rel_tol=1e-3)):
        yield f"the source saw frames of {then} s, this run has frames of {now} s"
    if source["history"] != history:
        yield f"the source saw {source['history']} frames of history, this model sees {history}"
    for key, one, other in _unlike(source["run"].get("data", {}), data, "data"):
        yield f"{key} was {one!r}, and is {other!r}"
    for key, _, _ in _unlike(source["data_state"], state, "", both=True):
        yield f"the preparation {key} was fitted to other values than here"


def _unlike(one: Any, other: Any, key: str, *, both: bool = False) -> Iterator[tuple[str, Any, Any]]:
    """Values that differ between two trees, with their dotted key; `both` leaves out keys that one of them lacks."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in dict.fromkeys((*one, *other)):
            if not both or (name in one and name in other):
                yield from _unlike(one.get(name), other.get(name), f"{key}.{name}" if key else str(name), both=both)
    elif isinstance(one, Tensor) and isinstance(other, Tensor):
        if not torch.equal(one, other):
            yield key, one, other
    elif type(one) is not type(other) or one != other:
        yield key, one, other
