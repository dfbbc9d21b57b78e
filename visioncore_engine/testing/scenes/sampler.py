"""What samplers meet: groups of windows, and a range beyond 2^24."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from visioncore_engine.contracts import Group, GroupSpec, Index, Position, Sampler, SamplerFacts, Source, TargetSpec
from visioncore_engine.data import generator
from visioncore_engine.options import Options
from visioncore_engine.testing.case import Case

__all__ = ["FRAMES", "SamplerScene", "big_index", "plan", "scene", "small_index"]

FRAMES = 4  # predicted frames of a window
_SIZES = (13, 6, 0, 24)  # a group without a window too
_EMPTY = (0, 5, None, 17)  # windows of each group that hold no valid prediction


@dataclass
class ListedSource:
    """A source of windows that are never read, only counted, weighed and scored."""

    group: GroupSpec
    valid: np.ndarray
    scores: np.ndarray
    frames_per_item: int = FRAMES
    num_items: int = field(init=False)

    def __post_init__(self) -> None:
        self.num_items = len(self.valid)

    def weights(self) -> np.ndarray:
        """Valid predictions of each window."""
        return self.valid

    def column_weights(self) -> Mapping[str, np.ndarray]:
        """Valid values of each column."""
        return {name: np.full(spec.size, float(self.valid.sum())) for name, spec in self.group.targets.items()}

    def score(self, name: str) -> np.ndarray:
        """Some score of each window, whatever its name."""
        return self.scores

    def gather(self, items: np.ndarray) -> Group:
        """Refuse: a plan reads no window."""
        raise AssertionError("a sampler reads no window: use the weights and scores of the index")


@dataclass
class SamplerScene:
    """Facts for a sampler.

    Attributes
    ----------
    facts
        The index and the seed.
    frequencies
        Declared share of the draws of each window, float64 (n,), from the options and the index; None where the sampler
        draws alike all windows, all valid predictions, or all windows of each group.
    """

    facts: SamplerFacts = field(default_factory=lambda: SamplerFacts(small_index(), 7))
    frequencies: Callable[[Options, Index], np.ndarray] | None = None

    def probe(self, built: Sampler) -> Mapping[str, Any]:
        """The steps of an epoch, and the plan of two epochs."""
        steps = built.steps_per_epoch()
        return {"steps": steps, "plan": plan(built, range(2 * min(steps, 8)))}


def scene(case: Case) -> SamplerScene:
    """Make the scene."""
    return SamplerScene()


def plan(sampler: Sampler, numbers: range) -> list[np.ndarray]:
    """Batches of some optimizer steps, counted from the start of the run."""
    steps = sampler.steps_per_epoch()
    return [sampler.batch(Position(number // steps, number % steps, number)) for number in numbers]


def small_index() -> Index:
    """Four groups, one of them empty, of windows with 0 to 4 valid predictions each."""
    sources = []
    for number, (size, empty) in enumerate(zip(_SIZES, _EMPTY, strict=True)):
        draws = generator("windows", number)
        valid = draws.integers(1, FRAMES + 1, size).astype(np.float64)
        if empty is not None:
            valid[empty] = 0.0
        sources.append(ListedSource(_spec(number), valid, draws.uniform(0.1, 1.0, size)))
    return _index(sources)


def big_index() -> Index:
    """Two groups, the second with more than 2^24 windows; their weights and scores take no memory of their own."""
    sizes = (2**22 + 1, 2**24 + 2**21)
    alike = [np.broadcast_to(np.float64(FRAMES), size) for size in sizes]
    scores = [np.broadcast_to(np.float64(0.5), size) for size in sizes]
    return _index([ListedSource(_spec(number), *pair) for number, pair in enumerate(zip(alike, scores, strict=True))])


def _spec(number: int) -> GroupSpec:
    target = TargetSpec("values", 2 + number, "columns", tuple(f"g{number}c{column}" for column in range(2 + number)))
    labels = {"sessions": f"group{number}", "subjects": f"subject{number % 2}"}
    return GroupSpec(f"group{number}", labels, (1, 2, 2), {"y": target})


def _index(sources: Sequence[Source]) -> Index:
    return Index(
        groups=tuple(source.group for source in sources),
        offsets=np.cumsum([0, *(source.num_items for source in sources)], dtype=np.int64),
        weights=tuple(source.weights() for source in sources),
        column_weights=tuple(source.column_weights() for source in sources),
        sources=tuple(sources),
        frames_per_item=FRAMES,
    )
