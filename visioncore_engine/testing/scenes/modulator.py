"""What a modulator meets: features, and the side inputs that every group has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from visioncore_engine.contracts import ModulatorFacts
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.scenes.module import Inputs, ModuleScene, Outputs, draw

__all__ = ["ModulatorScene", "scene"]

_SIDE, _OWN = "side.", "auxiliary."


@dataclass
class ModulatorScene(ModuleScene):
    """Features of the shape that the facts say, and all side inputs that they name."""

    facts: ModulatorFacts = field(default_factory=lambda: ModulatorFacts((3, 5, 6), {"behavior": 3, "eyepos": 2}))

    def draw(self, num: int, frames: int, *, seed: int = 0) -> Inputs:
        """Draw features (B, C, T, H, W) and side inputs (B, T, K)."""
        channels, *space = self.facts.in_shape
        side = {f"{_SIDE}{name}": draw((num, frames, size), seed, 1) for name, size in self.facts.side.items()}
        return {"features": draw((num, channels, frames, *space), seed), **side}

    def run(self, module: nn.Module, inputs: Inputs) -> Outputs:
        """Modulate the features; losses of the modulator's own are named ``auxiliary.<name>``, (B, 1, T, 1, 1)."""
        side = {name.removeprefix(_SIDE): value for name, value in inputs.items() if name.startswith(_SIDE)}
        output = module(inputs["features"], side)
        if not isinstance(output, tuple):
            return {"features": output}
        features, own = output
        return {
            "features": features,
            **{f"{_OWN}{name}": value[:, None, :, None, None] for name, value in own.items()},
        }

    def declared(self, module: Any, inputs: Inputs) -> Mapping[str, tuple[int, ...]]:
        """Shape (B, C', T - history, H, W)."""
        num, _, frames, *_ = inputs["features"].shape
        channels, *space = module.out_shape
        length = frames - self.history(module)
        own = {f"{_OWN}{name}": (num, 1, length, 1, 1) for name in getattr(module, "auxiliary", {})}
        return {"features": (num, channels, length, *space), **own}

    def history(self, module: Any) -> int:
        """History, where the modulator has one."""
        return int(getattr(module, "history", 0))

    def burn_in(self, module: Any) -> int:
        """Frames that it runs over before its output is used, where it has a state."""
        return int(getattr(module, "burn_in", 0))

    def needed(self, module: Any, inputs: Inputs) -> Sequence[Sequence[str]]:
        """The features, and at least one side input."""
        return [["features"], [name for name in inputs if name.startswith(_SIDE)]]

    def time_axis(self, name: str) -> int:
        """Axis of time: 1 of side inputs, 2 of features."""
        return 1 if name.startswith(_SIDE) else 2

    def others(self) -> Sequence[ModulatorScene]:
        """Other channels, sizes and side inputs."""
        side = {name: size + 1 for name, size in self.facts.side.items()}
        return [
            replace(self, facts=ModulatorFacts((4, 2, 3), side)),
            replace(self, facts=ModulatorFacts((1, 1, 1), side)),
        ]


def scene(case: Case) -> ModulatorScene:
    """Scene of every modulator."""
    del case  # all of them meet the same
    return ModulatorScene()
