"""Accuracy from counts that add up. K classes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from visioncore_common.cross_entropy import class_tasks
from visioncore_common.options.metric import AccuracyOptions
from visioncore_engine.contracts import Group, GroupSpec, MetricFacts, Result, Table
from visioncore_engine.errors import ConfigError, Problem

__all__ = ["Accuracy"]

_NAN = float("nan")


class Accuracy:
    """Labelled examples, and those whose largest output is the label, counted per class.

    ``accuracy`` is the part that is right, ``balanced_accuracy`` the mean over classes that occur of the part of each
    class that is right; both over all groups together, and per group behind ``/<group>``. Classes of two groups are the
    same where their names are. The table ``classes`` has a row per group and class.

    Raises
    ------
    ConfigError
        Where a group has no task with classes, or several and none is chosen.
    """

    def __init__(self, options: AccuracyOptions, facts: MetricFacts) -> None:
        self._tasks = {group.name: _task(group, options.task) for group in facts.groups}
        self._classes = {group.name: group.targets[self._tasks[group.name]].ids for group in facts.groups}

    def state(self, group: GroupSpec) -> dict[str, Tensor]:
        """Zeros, float64 (K,): examples of each class, and those that were right."""
        size = group.targets[self._tasks[group.name]].size
        return {name: torch.zeros(size, dtype=torch.float64) for name in ("count", "right")}

    def update(self, state: dict[str, Tensor], outputs: Mapping[str, Tensor], group: Group) -> None:
        """Add a batch in place; an output that is NaN is wrong."""
        task = self._tasks[group.name]
        labels, output = group.targets[task][group.mask], outputs[task][group.mask]
        size = len(state["count"])
        right = (output.argmax(dim=1) == labels) & ~output.isnan().any(dim=1)
        state["count"] += torch.bincount(labels, minlength=size).to(state["count"])
        state["right"] += torch.bincount(labels[right], minlength=size).to(state["right"])

    def compute(self, states: Mapping[str, dict[str, Tensor]]) -> Result:
        """Scores from the counts of all groups; NaN where there is no example."""
        pooled: dict[str, tuple[float, float]] = {}
        scalars: dict[str, float] = {}
        table = Table(("group", "class", "num_examples", "accuracy"), [])
        for name, state in states.items():
            counts = dict(zip(self._classes[name], zip(*_lists(state), strict=True), strict=True))
            scalars |= {f"{key}/{name}": value for key, value in _scores(counts).items()}
            for label, (count, right) in counts.items():
                before = pooled.get(label, (0.0, 0.0))
                pooled[label] = (before[0] + count, before[1] + right)
                table.rows.append(
                    {"group": name, "class": label, "num_examples": int(count), "accuracy": _ratio(right, count)}
                )
        return Result(scalars=_scores(pooled) | scalars, tables={"classes": table})


def _lists(state: Mapping[str, Tensor]) -> tuple[list[float], list[float]]:
    return state["count"].tolist(), state["right"].tolist()


def _scores(counts: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    recalls = [right / count for count, right in counts.values() if count]
    return {
        "accuracy": _ratio(sum(right for _, right in counts.values()), sum(count for count, _ in counts.values())),
        "balanced_accuracy": _ratio(sum(recalls), len(recalls)),
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else _NAN


def _task(group: GroupSpec, chosen: str) -> str:
    tasks = list(class_tasks(group))
    if chosen in tasks:
        return chosen
    if chosen or len(tasks) != 1:
        raise ConfigError(
            Problem(
                what=f"tasks with classes in group {group.name!r}: {', '.join(tasks) or 'none'}",
                key="metrics.accuracy.task",
                given=repr(chosen) if chosen else None,
                todo="name one of them" if tasks else "choose a metric for these data",
            )
        )
    return tasks[0]
