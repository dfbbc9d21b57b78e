"""Small groups, windows and outputs as a run would make them. B windows, L predictions, N columns, K classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from visioncore_engine.contracts import Batch, Group, GroupSpec, TargetSpec

__all__ = [
    "FAMILIES",
    "LENGTH",
    "POISONS",
    "TASK",
    "draw_group",
    "draw_outputs",
    "expand_mask",
    "groups_of",
    "join",
    "map_group",
    "poison",
    "take",
    "unmask",
]

TASK = "response"
"""Name of the task in every family."""

LENGTH = 4
"""Predictions of a window of a sequence."""

POISONS = (float("nan"), float("inf"), 1e9, -1e9)
"""What may stand under a false mask."""

_NUM_TAGGED = 5


def _sequences(kind: str) -> tuple[GroupSpec, ...]:
    return tuple(
        GroupSpec(
            name=name,
            labels={"sessions": name, "subjects": name.partition("_")[0]},
            input_shape=(2, 5, 6),
            targets={
                TASK: TargetSpec(
                    kind, size, "units", tuple(f"u{column}" for column in range(size)), tuple([1.0] * size)
                )
            },
            side={"behavior": 3, "eyepos": 2},
            tags={"repeat_frame": _NUM_TAGGED, "frame": 400},
            dt=0.01,
        )
        for name, size in (("a_1", 3), ("b_1", 2))
    )


def _classes() -> tuple[GroupSpec, ...]:
    target = TargetSpec("classes", 3, ids=("x", "y", "z"), mean=(0.6, 0.4, 0.0))  # z only where nothing is trained
    return tuple(GroupSpec(name, {"groups": name}, (2, 8, 8), {TASK: target}) for name in ("a_1", "b_1"))


FAMILIES: Mapping[str, Callable[[], tuple[GroupSpec, ...]]] = {
    "counts": lambda: _sequences("counts"),
    "rates": lambda: _sequences("rates"),
    "values": lambda: _sequences("values"),
    "classes": _classes,
}
"""Two groups of each kind of target: sequences of columns, or single examples with a class each."""


def groups_of(family: str, *, task: str = TASK) -> tuple[GroupSpec, ...]:
    """Make the two groups of a family whose one task has another name, for components that know only that.

    Parameters
    ----------
    family
        A key of `FAMILIES`.
    task
        Name of the task.
    """
    return tuple(replace(spec, targets={task: spec.targets[TASK]}) for spec in FAMILIES[family]())


def draw_group(
    spec: GroupSpec, index: int, num: int, *, history: int = 0, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Group:
    """Draw windows of a group, of the same numbers whatever else is drawn.

    Parameters
    ----------
    spec, index
        The group, and its place among the groups.
    num
        Windows.
    history
        Input frames before the first prediction of a sequence.
    seed
        Another seed gives other windows.
    dtype
        Of inputs, side inputs and targets that are no classes.
    """
    draws = np.random.default_rng([seed, index, num])
    sequence = spec.dt is not None
    frames = (history + LENGTH,) if sequence else ()
    channels, *space = spec.input_shape
    rows = (num, LENGTH) if sequence else (num,)
    tags = {name: draws.integers(-1, bound, rows) for name, bound in spec.tags.items()}
    targets = {}
    for task, target in spec.targets.items():
        value = torch.from_numpy(_targets(target, rows, tags, draws))
        targets[task] = value.to(dtype) if value.is_floating_point() else value
    mask = draws.random(next(iter(targets.values())).shape) < 0.7
    return Group(
        name=spec.name,
        index=index,
        inputs=torch.from_numpy(draws.normal(size=(num, channels, *frames, *space))).to(dtype),
        targets=targets,
        mask=torch.from_numpy(mask),
        items=torch.from_numpy(draws.permutation(10 * max(num, 1))[:num].astype(np.int64)),
        side={
            name: torch.from_numpy(draws.normal(size=(num, *frames, size))).to(dtype)
            for name, size in spec.side.items()
        },
        tags={name: torch.from_numpy(tag) for name, tag in tags.items()},
    )


def _targets(
    target: TargetSpec, rows: tuple[int, ...], tags: Mapping[str, np.ndarray], draws: np.random.Generator
) -> np.ndarray:
    """Targets that follow a tag, so that what is repeated is alike each time."""
    if target.kind == "classes":
        return draws.integers(0, target.size, rows)
    moments = next(iter(tags.values())) if tags else np.zeros(rows, dtype=np.int64)
    level = 0.5 + (moments[..., None] + 1) * (np.arange(target.size) + 1) % 7
    if target.kind == "counts":
        return draws.poisson(level).astype(np.float64)
    values = level + draws.normal(size=level.shape)
    return np.abs(values) if target.kind == "rates" else values - 2.0


def draw_outputs(spec: GroupSpec, group: Group, *, seed: int = 0) -> dict[str, Tensor]:
    """Draw outputs for windows, float64: (B, L, N), positive for counts and rates; (B, K) for classes.

    They have something to do with the targets, as those of a trained model have.
    """
    draws = np.random.default_rng([seed, group.index, len(group.items), 1])
    outputs = {}
    for task, target in spec.targets.items():
        given = group.targets[task]
        if target.kind == "classes":
            value = draws.normal(size=(len(given), target.size))
            value[np.arange(len(given)), given.clamp(0, target.size - 1).numpy()] += 1.0
        else:
            value = 0.5 * given.double().numpy() + draws.normal(size=tuple(given.shape))
            value = np.abs(value) + 0.1 if target.kind in ("counts", "rates") else value
        outputs[task] = torch.from_numpy(value)
    return outputs


def map_group(group: Group, change: Callable[[Tensor], Tensor]) -> Group:
    """Change every tensor of a group that has a row per window."""
    return replace(
        group,
        inputs=change(group.inputs),
        mask=change(group.mask),
        items=change(group.items),
        targets={name: change(value) for name, value in group.targets.items()},
        side={name: change(value) for name, value in group.side.items()},
        tags={name: change(value) for name, value in group.tags.items()},
    )


def take(group: Group, rows: Sequence[int] | np.ndarray) -> Group:
    """Keep some windows of a group, in the order of `rows`."""
    chosen = torch.as_tensor(np.asarray(rows, dtype=np.int64))
    return map_group(group, lambda value: value[chosen])


def join(*groups: Group) -> Batch:
    """Put groups into a batch."""
    return Batch(list(groups))


def unmask(group: Group, *, value: bool) -> Group:
    """Return the group with a mask that is `value` throughout."""
    return replace(group, mask=torch.full_like(group.mask, value))


def expand_mask(group: Group) -> tuple[Group, Group]:
    """One mask for all columns, written once per prediction and written once per value: both say the same."""
    if group.mask.ndim < 3:
        return group, group
    narrow = group.mask[..., :1].clone()
    return replace(group, mask=narrow), replace(group, mask=narrow.expand_as(group.mask).clone())


def poison(
    outputs: Mapping[str, Tensor], group: Group, value: float, *, targets: bool = True
) -> tuple[dict[str, Tensor], Group]:
    """Put `value` wherever the mask is False, into targets and outputs; classes become -1."""
    hidden = ~group.mask
    poisoned = {}
    for task, given in group.targets.items():
        where = hidden.expand_as(given)
        worst = torch.full_like(given, value) if given.is_floating_point() else torch.full_like(given, -1)
        poisoned[task] = torch.where(where, worst, given) if targets else given
    changed = {}
    for task, output in outputs.items():
        where = hidden[:, None].expand_as(output) if hidden.ndim == 1 else hidden.expand_as(output)
        changed[task] = torch.where(where, torch.full_like(output, value), output)
    return changed, replace(group, targets=poisoned)
