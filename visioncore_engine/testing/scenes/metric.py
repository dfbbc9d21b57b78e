"""What a metric meets: windows of two groups with masks, and outputs for them, in several batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from visioncore_engine.contracts import Group, GroupSpec, Metric, MetricFacts
from visioncore_engine.errors import UserError
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.scenes.flow import FAMILIES, draw_group, draw_outputs, take

__all__ = ["Batch", "MetricScene", "States", "other_scenes", "refused_families", "scene"]

Batch = tuple[dict[str, Tensor], Group]
"""Outputs for windows of one group, and the windows."""

States = dict[str, dict[str, Tensor]]
"""Statistics by group."""


@dataclass
class MetricScene:
    """Windows of the groups that the facts name."""

    facts: MetricFacts = field(default_factory=lambda: MetricFacts(FAMILIES["counts"]()))
    num: int = 24

    @property
    def groups(self) -> tuple[GroupSpec, ...]:
        """Groups of the data."""
        return self.facts.groups

    def draw(self, index: int, *, seed: int = 0) -> Batch:
        """Draw outputs and windows of a group, float64."""
        group = draw_group(self.groups[index], index, self.num, seed=seed)
        return draw_outputs(self.groups[index], group, seed=seed), group

    def empty(self, metric: Metric) -> States:
        """Statistics of nothing."""
        return {spec.name: metric.state(spec) for spec in self.groups}

    def states(self, metric: Metric, batches: Iterable[Batch]) -> States:
        """Statistics of batches."""
        states = self.empty(metric)
        for outputs, group in batches:
            metric.update(states[group.name], outputs, group)
        return states

    def whole(self) -> list[Batch]:
        """Everything in one batch per group."""
        return [self.draw(index) for index in range(len(self.groups))]

    @staticmethod
    def part(batch: Batch, rows: Sequence[int]) -> Batch:
        """Keep some windows of a batch."""
        outputs, group = batch
        return {task: value[list(rows)] for task, value in outputs.items()}, take(group, rows)

    def changed(self, outputs: dict[str, Tensor], group: Group, column: int) -> Batch:
        """Outputs and targets of one column drawn anew; for classes, other outputs where that class is the label."""
        other, drawn = self.draw(group.index, seed=9)
        outputs = {name: value.clone() for name, value in outputs.items()}
        targets = {name: value.clone() for name, value in group.targets.items()}
        for task, target in self.groups[group.index].targets.items():
            if target.kind == "classes":
                rows = (targets[task] == column) & group.mask
                right = bool((outputs[task][rows].argmax(1) == column).any())
                outputs[task][rows, column] = -10.0 if right else 10.0
            else:
                outputs[task][..., column] = other[task][..., column]
                targets[task][..., column] = drawn.targets[task][..., column]
        return outputs, replace(group, targets=targets)

    def degenerate(self) -> dict[str, list[Batch]]:
        """Windows in which something does not vary: outputs, targets, or nearly nothing is valid."""
        found: dict[str, list[Batch]] = {}
        for outputs, group in self.whole():
            flat = {name: torch.full_like(value, 0.1) for name, value in outputs.items()}
            found.setdefault("where outputs are constant", []).append((flat, group))
            for value in (0.0, 0.1, 0.3, 0.7, 1.1):
                targets = {name: _constant(target, value) for name, target in group.targets.items()}
                constant = replace(group, targets=targets)
                found.setdefault(f"where targets are {value}", []).append((outputs, constant))
            alone = replace(group, mask=_first(group.mask))
            found.setdefault("where one value is valid", []).append((outputs, alone))
        return found

    def probe(self, built: Any) -> dict[str, Any]:
        """Statistics and scores of everything."""
        states = self.states(built, self.whole())
        return {"states": states, "result": built.compute(states)}


def _constant(target: Tensor, value: float) -> Tensor:
    return torch.full_like(target, value if target.is_floating_point() else 0)


def _first(mask: Tensor) -> Tensor:
    """Mask of the first window and prediction alone."""
    only = torch.zeros_like(mask)
    only[(slice(1),) * min(only.ndim, 2)] = True
    return only


def scene(case: Case) -> MetricScene:
    """Find the kind of targets that the metric takes, by trying; it says so by a `UserError`."""
    refusals: dict[str, str] = {}
    for name in FAMILIES:
        if (refusal := _refusal(case, name)) is None:
            return _scene(name)
        refusals[name] = refusal
    raise AssertionError(
        f"{case} takes none of the kit's targets; give the case a scene of its own\n" + "\n".join(refusals.values())
    )


def other_scenes(case: Case) -> Iterator[tuple[str, Callable[[Case], MetricScene]]]:
    """Every further kind of targets that the metric takes."""
    taken = [name for name in FAMILIES if _refusal(case, name) is None]
    for name in taken[1:]:
        yield f"targets of kind {name!r}", partial(_of_family, name)


def refused_families(case: Case) -> list[str]:
    """Kinds of targets that the metric does not take."""
    return [name for name in FAMILIES if _refusal(case, name) is not None]


def _scene(family: str) -> MetricScene:
    return MetricScene(MetricFacts(FAMILIES[family]()))


def _of_family(family: str, _case: Case) -> MetricScene:
    return _scene(family)


def _refusal(case: Case, family: str) -> str | None:
    try:
        case.build(_scene(family))
    except UserError as error:
        return f"{family}: {error}"
    return None
