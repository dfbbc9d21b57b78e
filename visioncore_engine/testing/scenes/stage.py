"""What a stage meets: features of a few windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from visioncore_engine.contracts import StageFacts
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.scenes.module import Inputs, ModuleScene, Outputs, draw

__all__ = ["StageScene", "scene"]


@dataclass
class StageScene(ModuleScene):
    """Features of the shape that the facts say."""

    facts: StageFacts = field(default_factory=lambda: StageFacts((3, 5, 6), 0.01))

    def draw(self, num: int, frames: int, *, seed: int = 0) -> Inputs:
        """Draw features (B, C, T, H, W)."""
        channels, *space = self.facts.in_shape
        return {"features": draw((num, channels, frames, *space), seed)}

    def run(self, module: nn.Module, inputs: Inputs) -> Outputs:
        """Run the stage."""
        return {"features": module(inputs["features"])}

    def declared(self, module: Any, inputs: Inputs) -> Mapping[str, tuple[int, ...]]:
        """Shape (B, C', T - history, H', W')."""
        num, _, frames, *_ = inputs["features"].shape
        channels, *space = module.out_shape
        return {"features": (num, channels, frames - module.history, *space)}

    def history(self, module: Any) -> int:
        """History of the stage."""
        return int(module.history)

    def burn_in(self, module: Any) -> int:
        """Frames that a recurrent stage runs over."""
        return int(module.burn_in)

    def others(self) -> Sequence[StageScene]:
        """Other channels and sizes."""
        return [replace(self, facts=replace(self.facts, in_shape=shape)) for shape in ((2, 7, 5), (1, 6, 8), (4, 1, 1))]


def scene(case: Case) -> StageScene:
    """Scene of every stage."""
    del case  # all of them meet the same
    return StageScene()
