"""What modules of every kind meet. B windows, C channels, T frames, H, W pixels, K values of a side input."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visioncore_engine.testing.worlds import seeded

__all__ = ["Inputs", "ModuleScene", "Outputs", "Shape", "changed_frame", "doubled", "draw", "stirred", "taken"]

Inputs = dict[str, Tensor]
"""Tensors with a row per window, by name."""

Outputs = dict[str, Tensor]
Shape = tuple[int, int, int]
"""(C, H, W)."""


class ModuleScene(ABC):
    """Facts for one module, the inputs that it takes, and how it is called.

    Attributes
    ----------
    facts
        What the module is built with.
    """

    facts: Any

    @abstractmethod
    def draw(self, num: int, frames: int, *, seed: int = 0) -> Inputs:
        """Draw inputs of `num` windows of `frames` frames, float64."""

    @abstractmethod
    def run(self, module: nn.Module, inputs: Inputs) -> Outputs:
        """Call the module; one output per name, with a row per window."""

    @abstractmethod
    def declared(self, module: Any, inputs: Inputs) -> Mapping[str, tuple[int, ...]]:
        """Shape of each output by the module's own word."""

    def time_axis(self, name: str) -> int | None:
        """Axis of time of an input; None where it has none."""
        return 2

    def out_time_axis(self) -> int:
        """Axis of time of the outputs."""
        return 2

    def history(self, module: Any) -> int:
        """Earlier frames that an output frame may see."""
        return 0

    def burn_in(self, module: Any) -> int:
        """Frames that a module with an unbounded history runs over before its output is used."""
        return 0

    def others(self) -> Sequence[ModuleScene]:
        """Scenes with other shapes, which the module must fit as well."""
        return ()

    def needed(self, module: Any, inputs: Inputs) -> Sequence[Sequence[str]]:
        """Inputs that must matter: of each group of names at least one."""
        return [[name] for name in inputs]

    def frames(self, module: Any, more: int = 3) -> int:
        """Frames of a window that holds the module's history and `more` output frames."""
        return self.history(module) + self.burn_in(module) + more

    def probe(self, built: Any) -> dict[str, Any]:
        """Everything that a module shows: its attributes, its weights, what it makes of windows and of gradients."""
        module = doubled(built)
        inputs = self.draw(3, self.frames(built))
        shown: dict[str, Any] = {
            "history": self.history(built),
            "burn_in": self.burn_in(built),
            "out_shape": tuple(getattr(built, "out_shape", ())),
            "weights": dict(module.state_dict()),
            "output": self.run(module.eval(), inputs),
        }
        with seeded():
            shown["training"] = self.run(module.train(), inputs)
        shown["stirred"] = self.run(stirred(module).eval(), inputs)
        return shown


def doubled(module: nn.Module) -> nn.Module:
    """Copy of a module in float64."""
    return copy.deepcopy(module).double()


def stirred(module: nn.Module) -> nn.Module:
    """Copy of a module in float64 with every parameter moved at random: no symmetry or zero of the start is left."""
    module = doubled(module)
    draws = np.random.default_rng(11)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.from_numpy(draws.normal(size=tuple(parameter.shape))))
    return module


def draw(shape: tuple[int, ...], *key: int) -> Tensor:
    """Draw normal values, float64, decided by shape and key."""
    return torch.from_numpy(np.random.default_rng([*key, *shape]).normal(size=shape))


def taken(inputs: Mapping[str, Tensor], rows: Sequence[int]) -> Inputs:
    """Keep some windows, in the order of `rows`."""
    return {name: value[list(rows)] for name, value in inputs.items()}


def changed_frame(scene: ModuleScene, inputs: Inputs, frame: int, names: Sequence[str] = ()) -> Inputs:
    """Copy of the inputs with other values in one frame of every input (or of `names`)."""
    changed = {}
    for name, value in inputs.items():
        axis = scene.time_axis(name)
        value = value.clone()  # noqa: PLW2901 - the copy takes its place
        if axis is not None and (not names or name in names):
            part = value.select(axis, frame)
            part += 1.0 + draw(tuple(part.shape), 5)
        changed[name] = value
    return changed
