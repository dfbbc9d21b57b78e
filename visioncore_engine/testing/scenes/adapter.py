"""What an adapter meets: the frames of a group, and of another whose frames have another size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from visioncore_engine.contracts import AdapterFacts
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.scenes.flow import FAMILIES
from visioncore_engine.testing.scenes.module import Inputs, ModuleScene, Outputs, Shape, draw

__all__ = ["AdapterScene", "scene"]


def _facts(shape: Shape) -> AdapterFacts:
    return AdapterFacts(shape, replace(FAMILIES["counts"]()[0], input_shape=shape))


@dataclass
class AdapterScene(ModuleScene):
    """Frames of the shape that the facts say; `sizes` are those of other groups of the same data."""

    facts: AdapterFacts = field(default_factory=lambda: _facts((2, 5, 6)))
    sizes: tuple[Shape, ...] = ((2, 8, 7), (2, 5, 4))

    def draw(self, num: int, frames: int, *, seed: int = 0) -> Inputs:
        """Draw frames (B, C, T, H, W)."""
        channels, *space = self.facts.in_shape
        return {"inputs": draw((num, channels, frames, *space), seed)}

    def run(self, module: nn.Module, inputs: Inputs) -> Outputs:
        """Adapt the frames."""
        return {"adapted": module(inputs["inputs"])}

    def declared(self, module: Any, inputs: Inputs) -> Mapping[str, tuple[int, ...]]:
        """Shape (B, C', T, H', W')."""
        num, _, frames, *_ = inputs["inputs"].shape
        channels, *space = module.out_shape
        return {"adapted": (num, channels, frames, *space)}

    def others(self) -> Sequence[AdapterScene]:
        """Groups of the same data with frames of another size."""
        return [replace(self, facts=_facts(shape)) for shape in self.sizes]


def scene(case: Case) -> AdapterScene:
    """Scene of every adapter."""
    del case  # all of them meet the same
    return AdapterScene()
