"""What a readout meets: the features that the core makes, for the columns of one group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from visioncore_engine.contracts import ReadoutFacts
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.scenes.flow import FAMILIES, TASK
from visioncore_engine.testing.scenes.module import Inputs, ModuleScene, Outputs, Shape, draw

__all__ = ["ReadoutScene", "scene"]


def _facts(shape: Shape, group: int) -> ReadoutFacts:
    spec = FAMILIES["counts"]()[group]
    return ReadoutFacts(shape, spec, spec.targets[TASK])


@dataclass
class ReadoutScene(ModuleScene):
    """Features of the shape that the facts say."""

    facts: ReadoutFacts = field(default_factory=lambda: _facts((3, 5, 6), 0))

    def draw(self, num: int, frames: int, *, seed: int = 0) -> Inputs:
        """Draw features (B, C, T, H, W)."""
        channels, *space = self.facts.in_shape
        return {"features": draw((num, channels, frames, *space), seed)}

    def run(self, module: nn.Module, inputs: Inputs) -> Outputs:
        """Read the features out."""
        return {"drive": module(inputs["features"])}

    def declared(self, module: Any, inputs: Inputs) -> Mapping[str, tuple[int, ...]]:
        """Shape (B, T, N)."""
        del module
        num, _, frames, *_ = inputs["features"].shape
        return {"drive": (num, frames, self.facts.target.size)}

    def out_time_axis(self) -> int:
        """Axis of time of the drive."""
        return 1

    def others(self) -> Sequence[ReadoutScene]:
        """Other features, for another number of columns."""
        return [replace(self, facts=_facts(shape, 1)) for shape in ((2, 4, 3), (4, 1, 7), (2, 1, 1))]


def scene(case: Case) -> ReadoutScene:
    """Scene of every readout."""
    del case  # all of them meet the same
    return ReadoutScene()
