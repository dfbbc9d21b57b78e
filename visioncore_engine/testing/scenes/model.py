"""What a model meets: a micro-batch of two groups, of the kind of data that it accepts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from visioncore_engine.contracts import Batch, ModelFacts
from visioncore_engine.errors import UserError
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.scenes.flow import FAMILIES, LENGTH, draw_group
from visioncore_engine.testing.scenes.module import Inputs, ModuleScene, Outputs, draw

__all__ = ["ModelScene", "scene"]

_INPUTS, _SIDE = "inputs:", "side:"


@dataclass
class ModelScene(ModuleScene):
    """A micro-batch with as many windows of each group.

    Attributes
    ----------
    order
        Groups of the batch, by number.
    """

    facts: ModelFacts = field(default_factory=lambda: ModelFacts(FAMILIES["counts"](), 0))
    order: tuple[int, ...] = (0, 1)

    @property
    def timed(self) -> bool:
        """Whether the groups are sequences."""
        return self.facts.groups[0].dt is not None

    def draw(self, num: int, frames: int, *, seed: int = 0) -> Inputs:
        """Draw the inputs and side inputs of each group, by ``inputs:<group>`` and ``side:<group>:<name>``."""
        inputs = {}
        for index, spec in enumerate(self.facts.groups):
            channels, *space = spec.input_shape
            time = (frames,) if self.timed else ()
            inputs[f"{_INPUTS}{spec.name}"] = draw((num, channels, *time, *space), seed, index)
            for name, size in spec.side.items():
                inputs[f"{_SIDE}{spec.name}:{name}"] = draw((num, *time, size), seed, index, 1)
        return inputs

    def batch(self, inputs: Inputs, *, seed: int = 0) -> Batch:
        """Micro-batch of these inputs; `seed` decides targets, mask and items."""
        groups = []
        for index in self.order:
            spec = self.facts.groups[index]
            own = inputs[f"{_INPUTS}{spec.name}"]
            side = {name: inputs[f"{_SIDE}{spec.name}:{name}"] for name in spec.side}
            drawn = draw_group(spec, index, len(own), seed=seed, dtype=own.dtype)
            groups.append(replace(drawn, inputs=own, side=side))
        return Batch(groups)

    def run(self, module: nn.Module, inputs: Inputs) -> Outputs:
        """Predict; outputs are named ``<group>:<task>``, cropped to the last predictions."""
        return self.outputs(module(self.batch(inputs)))

    def outputs(self, predicted: Sequence[Mapping[str, torch.Tensor]]) -> Outputs:
        """Name what a model returned by group and task; ``<task>/<word>`` and ``features/<part>`` are left out."""
        assert len(predicted) == len(self.order), (
            f"the model returned {len(predicted)} mappings for {len(self.order)} groups: return one per group of the "
            f"batch, in its order"
        )
        return {
            f"{self.facts.groups[index].name}:{task}": value
            for index, own in zip(self.order, predicted, strict=True)
            for task, value in own.items()
            if task.partition("/")[0] not in (*self.facts.groups[index].targets, "features") or "/" not in task
        }

    def declared(self, module: Any, inputs: Inputs) -> Mapping[str, tuple[int, ...]]:
        """Shape (B, T - history, N) of sequences, (B, K) of examples."""
        shapes: dict[str, tuple[int, ...]] = {}
        for index in self.order:
            spec = self.facts.groups[index]
            own = inputs[f"{_INPUTS}{spec.name}"]
            time = (own.shape[2] - int(module.history),) if self.timed else ()
            shapes |= {f"{spec.name}:{task}": (len(own), *time, target.size) for task, target in spec.targets.items()}
            names = getattr(module, "auxiliary", {})
            shapes |= {f"{spec.name}:auxiliary/{name}": (len(own), *time) for name in names}
        return shapes

    def needed(self, module: Any, inputs: Inputs) -> Sequence[Sequence[str]]:
        """The inputs of every group, unless the model says that it uses none; side inputs are an offer."""
        if not getattr(module, "uses_inputs", True):
            return [[name for name in inputs if name.startswith(f"{_SIDE}{self.facts.groups[0].name}:")]]
        return [[name] for name in inputs if name.startswith(_INPUTS)]

    def time_axis(self, name: str) -> int | None:
        """Axis of time: 1 of side inputs, 2 of inputs, None of examples."""
        return (1 if name.startswith(_SIDE) else 2) if self.timed else None

    def out_time_axis(self) -> int:
        """Axis of time of the outputs."""
        return 1

    def history(self, module: Any) -> int:
        """Input frames before the first prediction."""
        return int(module.history)

    def others(self) -> Sequence[ModelScene]:
        """Frames of another size, in the other order of groups."""
        groups = tuple(replace(spec, input_shape=(3, 9, 8)) for spec in reversed(self.facts.groups))
        return [replace(self, facts=replace(self.facts, groups=groups))]


def scene(case: Case) -> ModelScene:
    """Find the kind of data that the model accepts, by trying."""
    refusals = []
    for name, make in FAMILIES.items():
        found = ModelScene(ModelFacts(make(), 0))
        try:
            module = case.build(found)
            found.run(module.double().eval(), found.draw(1, int(module.history) + LENGTH))
        except (UserError, RuntimeError, LookupError, ValueError) as error:  # whatever a stranger's model says of it
            refusals.append(f"{name}: {type(error).__name__}: {error}")
            continue
        return found
    raise AssertionError(
        f"{case.kind} {case.name!r} runs on none of the kit's data; give the case a scene of its own "
        "(visioncore_engine.testing.scenes.model.ModelScene with other facts)\n" + "\n".join(refusals)
    )
