"""What a metric meets: windows of two groups with masks, and outputs for them, in several batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from visioncore_engine.contracts import Group, GroupSpec, Metric, MetricFacts
from visioncore_engine.errors import UserError
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.scenes.flow import FAMILIES, draw_group, draw_outputs, take

__all__ = ["MetricScene", "States", "scene"]

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

    def draw(self, index: int, *, seed: int = 0) -> tuple[dict[str, Tensor], Group]:
        """Draw outputs and windows of a group, float64."""
        group = draw_group(self.groups[index], index, self.num, seed=seed)
        return draw_outputs(self.groups[index], group, seed=seed), group

    def empty(self, metric: Metric) -> States:
        """Statistics of nothing."""
        return {spec.name: metric.state(spec) for spec in self.groups}

    def states(self, metric: Metric, batches: Iterable[tuple[dict[str, Tensor], Group]]) -> States:
        """Statistics of batches."""
        states = self.empty(metric)
        for outputs, group in batches:
            metric.update(states[group.name], outputs, group)
        return states

    def whole(self) -> list[tuple[dict[str, Tensor], Group]]:
        """Everything in one batch per group."""
        return [self.draw(index) for index in range(len(self.groups))]

    @staticmethod
    def part(batch: tuple[dict[str, Tensor], Group], rows: Sequence[int]) -> tuple[dict[str, Tensor], Group]:
        """Keep some windows of a batch."""
        outputs, group = batch
        return {task: value[list(rows)] for task, value in outputs.items()}, take(group, rows)

    def probe(self, built: Any) -> dict[str, Any]:
        """Statistics and scores of everything."""
        states = self.states(built, self.whole())
        return {"states": states, "result": built.compute(states)}


def scene(case: Case) -> MetricScene:
    """Find the kind of targets that the metric takes, by trying; it says so by a `UserError`."""
    refusals = []
    for name, make in FAMILIES.items():
        found = MetricScene(MetricFacts(make()))
        try:
            case.build(found)
        except UserError as error:
            refusals.append(f"{name}: {error}")
            continue
        return found
    raise AssertionError(
        f"{case} takes none of the kit's targets; give the case a scene of its own\n" + "\n".join(refusals)
    )
