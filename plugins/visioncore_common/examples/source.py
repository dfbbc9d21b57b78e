"""The labelled examples of one group, and the ones of a split. N examples, C channels, H, W pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from visioncore_engine.contracts import Group, GroupSpec

__all__ = ["ExampleSource", "Examples", "Scale", "fit_scale"]

_CHUNK = 1024  # examples that are looked at together where all are


@dataclass(frozen=True)
class Examples:
    """Everything that is known of one group.

    Attributes
    ----------
    name
        Name of the group.
    inputs
        (N, C, H, W), numbers of any dtype; may be a memory map.
    labels
        int64 (N,), -1 where there is no label.
    split
        int64 (N,): 0 training, 1 validation, 2 test.
    """

    name: str
    inputs: np.ndarray
    labels: np.ndarray
    split: np.ndarray

    def rows(self, split: int) -> np.ndarray:
        """Positions of the examples of a split, int64, in their order."""
        return np.flatnonzero(self.split == split).astype(np.int64)


@dataclass(frozen=True)
class Scale:
    """Float64 mean and standard deviation, (C, 1, 1) or (C, H, W); a deviation of 0 is kept as 1."""

    mean: np.ndarray
    deviation: np.ndarray

    def apply(self, inputs: np.ndarray) -> np.ndarray:
        """Standardised inputs, float32, the same shape."""
        return np.asarray((inputs - self.mean) / self.deviation, dtype=np.float32)


def fit_scale(examples: Examples, mode: str) -> Scale:
    """Scale of a group from its labelled training examples, in two passes and constant memory.

    Parameters
    ----------
    examples
        The group.
    mode
        ``channel``, ``pixel`` or ``none``.
    """
    shape = examples.inputs.shape[1:]
    if mode == "none":
        return Scale(np.zeros((shape[0], 1, 1)), np.ones((shape[0], 1, 1)))
    axes = (0, 2, 3) if mode == "channel" else (0,)
    rows = np.flatnonzero((examples.split == 0) & (examples.labels >= 0))
    count = rows.size * (shape[1] * shape[2] if mode == "channel" else 1)
    mean = sum(chunk.sum(axis=axes, keepdims=True)[0] for chunk in _chunks(examples.inputs, rows)) / count
    square = sum(np.square(chunk - mean).sum(axis=axes, keepdims=True)[0] for chunk in _chunks(examples.inputs, rows))
    deviation = np.sqrt(np.asarray(square) / count)
    return Scale(np.asarray(mean), np.where(deviation > 0, deviation, 1.0))


def _chunks(inputs: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, rows.size, _CHUNK):
        yield inputs[rows[start : start + _CHUNK]].astype(np.float64)


class ExampleSource:
    """The examples of one group in one split; a window is one example.

    Parameters
    ----------
    group
        Specification of the group, with one target of kind ``classes``.
    index
        Position of the group among the groups of the data set.
    examples
        All examples of the group.
    rows
        int64 (num_items,), those of the split.
    scale
        Standardisation.
    """

    frames_per_item = 1

    def __init__(self, group: GroupSpec, index: int, examples: Examples, rows: np.ndarray, scale: Scale) -> None:
        self.group, self.num_items = group, len(rows)
        self._index, self._examples, self._rows, self._scale = index, examples, rows, scale
        (self._task,) = group.targets

    def weights(self) -> np.ndarray:
        """1 for an example with a label, 0 without, float64 (num_items,)."""
        return np.asarray(self._examples.labels[self._rows] >= 0, dtype=np.float64)

    def column_weights(self) -> Mapping[str, np.ndarray]:
        """Count the labels, float64 (1,): classes are no columns."""
        return {self._task: np.array([self.weights().sum()])}

    def gather(self, items: np.ndarray) -> Group:
        """Read examples in the order of `items`; one without a label has zeros as its input."""
        rows = self._rows[items]
        labels = self._examples.labels[rows]
        labelled = labels >= 0
        inputs = self._scale.apply(self._examples.inputs[rows])
        inputs[~labelled] = 0.0  # what cannot be scored must not be seen either, it may be NaN
        return Group(
            name=self.group.name,
            index=self._index,
            inputs=torch.from_numpy(inputs),
            targets={self._task: torch.from_numpy(labels)},
            mask=torch.from_numpy(labelled),
            items=torch.from_numpy(np.asarray(items, dtype=np.int64)),
        )

    def score(self, name: str) -> np.ndarray:
        """Raise KeyError: examples have no scores."""
        raise KeyError(f"{name!r}; these data have no scores")
