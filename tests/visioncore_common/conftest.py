from __future__ import annotations

import numpy as np
import pytest
import torch

from visioncore_engine.contracts import Group, GroupSpec, Index, SamplerFacts, TargetSpec


@pytest.fixture
def sampler_facts():
    """Facts of a sampler over `num_items` windows in one group; no array of that size is made."""

    def make(num_items: int, frames_per_item: int = 1, seed: int = 0) -> SamplerFacts:
        index = Index(
            groups=(),
            offsets=np.array([0, num_items], dtype=np.int64),
            weights=(),
            column_weights=(),
            sources=(),
            frames_per_item=frames_per_item,
        )
        return SamplerFacts(index, seed)

    return make


@pytest.fixture
def group_spec():
    """Specification of a group with one task of K classes."""

    def make(name: str = "m1", num_classes: int = 3, mean: tuple[float, ...] = (), shape=(1, 8, 8)) -> GroupSpec:
        ids = tuple(f"class {number}" for number in range(num_classes))
        mean = mean or (1 / num_classes,) * num_classes
        return GroupSpec(name, {"subjects": name}, shape, {"class": TargetSpec("classes", num_classes, "", ids, mean)})

    return make


@pytest.fixture
def labelled():
    """A group of a batch from labels; -1 has no label and a false mask."""

    def make(labels: list[int], spec: GroupSpec, index: int = 0, inputs: torch.Tensor | None = None) -> Group:
        values = torch.tensor(labels, dtype=torch.int64)
        if inputs is None:
            inputs = torch.zeros(len(labels), *spec.input_shape)
        return Group(spec.name, index, inputs, {"class": values}, values >= 0, torch.arange(len(labels)))

    return make
