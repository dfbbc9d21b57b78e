"""Group specifications as plain values and back, so that a checkpoint says what its model predicts."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import torch

from visioncore_engine.contracts import GroupSpec, TargetSpec
from visioncore_engine.errors import CheckpointError, DataError, Problem

__all__ = [
    "changed_fingerprints",
    "compare_content",
    "compare_groups",
    "group_from_plain",
    "group_to_plain",
    "groups_of",
]


def group_to_plain(group: GroupSpec) -> dict[str, Any]:
    """Return a group's specification as plain values."""
    plain = {key: value for key, value in vars(group).items() if key != "targets"}
    plain["labels"], plain["side"], plain["tags"] = dict(group.labels), dict(group.side), dict(group.tags)
    plain["facts"] = dict(group.facts)
    plain["input_dtype"] = str(group.input_dtype).removeprefix("torch.")
    plain["targets"] = {task: asdict(target) for task, target in group.targets.items()}
    return plain


def group_from_plain(plain: Mapping[str, Any]) -> GroupSpec:
    """Return the specification that `group_to_plain` wrote."""
    if not isinstance(plain, Mapping):
        raise TypeError(f"a group is described by a mapping, not by {type(plain).__name__}")
    values = dict(plain)
    values["input_dtype"] = getattr(torch, values["input_dtype"])
    values["input_shape"] = tuple(values["input_shape"])
    values["targets"] = {
        task: TargetSpec(**{**target, "ids": tuple(target["ids"]), "mean": tuple(target["mean"])})
        for task, target in plain["targets"].items()
    }
    spec = GroupSpec(**values)
    if not _is_sound(spec):
        raise ValueError(f"group {spec.name!r} is not described by names, sizes and ids")
    return spec


def _is_sound(spec: GroupSpec) -> bool:
    """Whether a specification that comes from a file has the types that it must have."""
    mappings = (spec.labels, spec.side, spec.tags, spec.targets, spec.facts)
    if not all(isinstance(mapping, dict) for mapping in mappings):
        return False
    texts = [spec.name, *spec.labels, *spec.labels.values(), *spec.side, *spec.tags, *spec.targets]
    numbers = [*spec.input_shape, *spec.side.values(), *spec.tags.values()]
    targets = spec.targets.values()
    texts += [text for target in targets for text in (target.kind, target.columns, *target.ids)]
    numbers += [target.size for target in targets]
    return (
        isinstance(spec.input_dtype, torch.dtype)
        and (spec.dt is None or isinstance(spec.dt, int | float))
        and all(isinstance(text, str) for text in texts)
        and all(type(number) is int and number >= 0 for number in numbers)
        and all(len(target.ids) in (0, target.size) for target in targets)
        and all(isinstance(mean, int | float) for target in targets for mean in target.mean)
    )


def groups_of(payload: Mapping[str, Any], path: str) -> list[GroupSpec]:
    """Specifications of a checkpoint's groups.

    Raises
    ------
    CheckpointError
        Where they cannot be understood.
    """
    try:
        return [group_from_plain(group) for group in payload["visioncore"]["groups"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"its groups cannot be understood: {type(error).__name__}: {error}"
        raise CheckpointError(
            Problem(where=path, what=what, todo="the file was changed after it was written")
        ) from error


def changed_fingerprints(here: Mapping[str, str], saved: Mapping[str, str]) -> list[str]:
    """Groups whose content is not what it was, in words; groups that one side lacks are told by `compare_groups`."""
    return [
        f"group {name!r} had the fingerprint {saved[name][:12]}, and has {found[:12]}"
        for name, found in here.items()
        if name in saved and saved[name] != found
    ]


def compare_content(here: Mapping[str, str], saved: Mapping[str, str], path: str, *, policy: str) -> None:
    """Check that the content of the data is that of a checkpoint, by their fingerprints.

    Parameters
    ----------
    policy
        `policies.data_changes`: ``error``, or ``warn`` to say it and go on.

    Raises
    ------
    DataError
        Naming each group whose content changed.
    """
    changed = changed_fingerprints(here, saved)
    if not changed:
        return
    what = f"the data changed since the checkpoint was written: {'; '.join(changed)}"
    if policy == "error":
        todo = "bring the data back, train anew, or accept it with policies.data_changes: warn"
        raise DataError(Problem(where=path, key="policies.data_changes", what=what, todo=todo))
    print(f"warning: {path}: {what}", file=sys.stderr)  # noqa: T201 - must be seen


def compare_groups(here: Iterable[GroupSpec], saved: Iterable[GroupSpec], path: str) -> None:
    """Check that data have every group of a checkpoint, with the same columns in the same order.

    Raises
    ------
    CheckpointError
        Naming each group that drifted, both counts and the missing and unknown ids.
    """
    present = {group.name: group for group in here}
    problems = []
    for group in saved:
        if group.name not in present:
            problems.append(
                Problem(
                    what=f"group {group.name!r} of the checkpoint is not in the data",
                    where=path,
                    todo=f"the data have: {', '.join(present) or 'none'}",
                )
            )
            continue
        for task, target in group.targets.items():
            own = present[group.name].targets.get(task)
            if own is None or own.ids != target.ids:
                problems.append(Problem(what=_drift(group.name, task, own, target), where=path))
    extra = [name for name in present if name not in {group.name for group in saved}]
    problems.extend(
        Problem(what=f"group {name!r} of the data has no head in the checkpoint", where=path) for name in extra
    )
    if problems:
        raise CheckpointError(*problems)


def _drift(group: str, task: str, own: TargetSpec | None, saved: TargetSpec) -> str:
    if own is None:
        return f"group {group!r} has no target {task!r} here"
    word = saved.columns or "columns"
    missing = [name for name in saved.ids if name not in own.ids]
    unknown = [name for name in own.ids if name not in saved.ids]
    detail = [f"missing ids: {_few(missing)}"] if missing else []
    detail += [f"unknown ids: {_few(unknown)}"] if unknown else []
    detail = detail or ["the same ids in another order"]
    return f"group {group!r}: {own.size} {word} here, {saved.size} in the checkpoint; {'; '.join(detail)}"


def _few(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f", … ({len(names)})" if len(names) > most else "")
