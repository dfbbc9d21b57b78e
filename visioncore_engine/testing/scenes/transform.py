"""What a transform meets: a training batch of two groups."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from visioncore_engine.contracts import Batch, Group, TransformFacts
from visioncore_engine.errors import UserError
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.scenes.flow import FAMILIES, draw_group, map_group

__all__ = ["KEYS", "TransformScene", "scene"]

KEYS = (17, 2**40 + 1, 5)
"""Keys as the engine derives them from seed and epoch."""


@dataclass
class TransformScene:
    """Windows of the groups that the facts name."""

    facts: TransformFacts = field(default_factory=lambda: TransformFacts(FAMILIES["counts"]()))
    num: int = 12
    history: int = 3

    def draw(self, *, dtype: torch.dtype = torch.float32) -> Batch:
        """Draw a batch of every group."""
        return Batch([self.group(index, dtype=dtype) for index in range(len(self.facts.groups))])

    def group(self, index: int, *, dtype: torch.dtype = torch.float32) -> Group:
        """Draw windows of one group."""
        return draw_group(self.facts.groups[index], index, self.num, history=self.history, dtype=dtype)

    def alike(self, index: int) -> Group:
        """Windows of one group that show the same, and differ by their numbers alone."""
        group = self.group(index)
        one = map_group(group, lambda value: value[:1].expand_as(value).clone())
        return replace(one, items=torch.from_numpy(np.arange(self.num) * 7 + 2))

    def probe(self, built: Any) -> dict[str, Any]:
        """What it makes of a batch, by key."""
        shown = {str(key): built(self.draw(), key) for key in KEYS}
        return {"training_only": built.training_only, **shown}


def scene(case: Case) -> TransformScene:
    """Find the kind of data that the transform takes, by trying; it says so by a `UserError`."""
    refusals = []
    for name, make in FAMILIES.items():
        found = TransformScene(TransformFacts(make()))
        try:
            case.build(found)(found.draw(), KEYS[0])
        except UserError as error:
            refusals.append(f"{name}: {error}")
            continue
        return found
    raise AssertionError(
        f"{case} takes none of the kit's data; give the case a scene of its own\n" + "\n".join(refusals)
    )
