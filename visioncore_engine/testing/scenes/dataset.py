"""What a dataset meets: splits and histories as a run asks for them. T frames of a window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from visioncore_engine.contracts import Dataset, DatasetFacts, Group, Source
from visioncore_engine.errors import ConfigError
from visioncore_engine.testing.case import Case

__all__ = ["DatasetScene", "scene"]


@dataclass
class DatasetScene:
    """How a dataset is opened and read.

    Attributes
    ----------
    facts
        What it is built with.
    splits
        Splits that it has.
    history
        Input frames before the first prediction, where the data have time.
    altered
        Options that lead to the same groups with other content: another folder, another seed. Without them another seed
        of the run must do.
    held_out
        Options that lead to the same groups in which only what is not trained on has other content, where there are
        such: what was fitted must be the same.
    distinct
        Whether every frame (or example) is unlike every other, so that one that two splits share can be seen.
    """

    facts: DatasetFacts = field(default_factory=lambda: DatasetFacts(seed=0))
    splits: tuple[str, ...] = ("train", "validation", "test")
    history: int = 3
    altered: Mapping[str, Any] = field(default_factory=dict)
    held_out: Mapping[str, Any] = field(default_factory=dict)
    distinct: bool = True

    def sources(self, dataset: Dataset, split: str, history: int | None = None) -> list[Source]:
        """Sources of a split, with the scene's history, or without any where the data have no time."""
        try:
            return list(dataset.sources(split, self.history if history is None else history))
        except ConfigError:
            return list(dataset.sources(split, 0))

    @staticmethod
    def read(source: Source, most: int = 60) -> Group:
        """Windows of a source, at most so many, spread over all of it."""
        step = max(1, source.num_items // most)
        return source.gather(np.arange(0, source.num_items, step, dtype=np.int64))

    def probe(self, built: Any) -> dict[str, Any]:
        """Groups, windows of every split, fitted state and fingerprints."""
        return {
            "groups": [str(group) for group in built.groups],
            "windows": {split: [self._shown(source) for source in self.sources(built, split)] for split in self.splits},
            "state": built.state(),
            "fingerprints": dict(built.fingerprints()),
        }

    def _shown(self, source: Source) -> dict[str, Any]:
        windows = self.read(source) if source.num_items else None
        return {"num": source.num_items, "weights": source.weights(), "windows": windows}


def scene(case: Case) -> DatasetScene:
    """Scene of a dataset that needs no files; another case brings its own, with its files."""
    del case  # all of them meet the same
    return DatasetScene()
