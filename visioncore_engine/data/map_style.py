"""Between sources and torch's map-style datasets: either can be made of the other.

A `torch.utils.data.Dataset` with ``__getitem__`` becomes a `Source` (`MapSource`), and the windows of sources become
such a dataset for a stock ``DataLoader`` (`MapDataset`). Whole batches are asked for where a dataset has
``__getitems__``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from visioncore_engine.contracts import Batch, Group, GroupSpec, Source, TargetSpec
from visioncore_engine.data.index import build_index, gather
from visioncore_engine.errors import DataError, Problem

__all__ = ["MapDataset", "MapSource"]

_CHUNK = 256  # items read at once where all are


class MapSource:
    """The items of a map-style dataset as the windows of one group.

    An item is a mapping with ``inputs`` (C, T, H, W) or (C, H, W), the target of each task of the group by its name,
    its side inputs and tags by theirs and, where not everything counts, ``mask`` (bool, broadcastable to the target, or
    a single one for an example). Whatever is masked arrives as zero, and so do the inputs of an item in which nothing
    counts.

    Parameters
    ----------
    group, index
        What the group is, and its position among all.
    dataset
        Has ``__len__``, and ``__getitem__`` or ``__getitems__`` (a list of items for a list of numbers).
    frames_per_item
        Predicted frames of an item, 1 for examples.
    """

    def __init__(self, group: GroupSpec, index: int, dataset: Any, *, frames_per_item: int = 1) -> None:
        self.group, self.num_items, self.frames_per_item = group, len(dataset), frames_per_item
        self._index, self._dataset = index, dataset
        self._counted: tuple[np.ndarray, dict[str, np.ndarray]] | None = None

    def weights(self) -> np.ndarray:
        """Predictions of each item in which something counts, float64 (num_items,)."""
        return self._counts()[0]

    def column_weights(self) -> Mapping[str, np.ndarray]:
        """Values of each column that count, per task, float64 (N,), or (1,) where a target has no columns."""
        return self._counts()[1]

    def score(self, name: str) -> np.ndarray:
        """Raise KeyError: items have no scores."""
        raise KeyError(f"{name!r}; items of a map-style dataset have no scores")

    def gather(self, items: np.ndarray) -> Group:
        """Read items in the order of `items`, int64 (B,).

        Raises
        ------
        DataError
            Where an item lacks a field of the group.
        """
        numbers = np.asarray(items, dtype=np.int64)
        fields = self._fields(numbers.tolist())
        targets = {task: fields[task] for task in self.group.targets}
        mask = self._mask(fields, next(iter(targets.values())))
        empty = ~mask.reshape(len(mask), -1).any(1)
        return Group(
            name=self.group.name,
            index=self._index,
            inputs=_zeroed(fields["inputs"].float(), empty),
            targets={task: _zeroed(target, ~mask.expand_as(target)) for task, target in targets.items()},
            mask=mask,
            items=torch.from_numpy(numbers),
            side={name: _zeroed(fields[name].float(), empty) for name in self.group.side},
            tags={name: fields[name].long() for name in self.group.tags},
        )

    def _fields(self, numbers: list[int]) -> dict[str, Tensor]:
        if hasattr(self._dataset, "__getitems__"):
            found = self._dataset.__getitems__(numbers)
        else:
            found = [self._dataset[number] for number in numbers]
        needed = ("inputs", *self.group.targets, *self.group.side, *self.group.tags)
        for number, item in zip(numbers, found, strict=True):
            lacking = [name for name in needed if name not in item]
            if lacking:
                what = f"item {number} of the dataset has no {', '.join(lacking)}"
                raise DataError(Problem(where=self.group.name, what=what, given=", ".join(item)))
        fields: dict[str, Tensor] = default_collate([dict(item) for item in found])
        return fields

    def _mask(self, fields: Mapping[str, Tensor], target: Tensor) -> Tensor:
        shape = target.shape if target.ndim == 1 else (*target.shape[:-1], 1)
        return fields["mask"].bool() if "mask" in fields else torch.ones(shape, dtype=torch.bool)

    def _counts(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Count once, by reading everything."""
        if self._counted is None:
            weights = np.zeros(self.num_items)
            columns = {task: np.zeros(_num_columns(target)) for task, target in self.group.targets.items()}
            for start in range(0, self.num_items, _CHUNK):
                items = np.arange(start, min(start + _CHUNK, self.num_items))
                group = self.gather(items)
                counts = group.mask if group.mask.ndim == 1 else group.mask.any(-1)
                weights[items] = counts.reshape(len(items), -1).sum(1).numpy()
                for task, target in group.targets.items():
                    valid = group.mask.expand_as(target).double()
                    columns[task] += valid.reshape(-1, columns[task].size).sum(0).numpy()
            self._counted = weights, columns
        return self._counted


class MapDataset:
    """The windows of sources as a map-style dataset, whose items are batches.

    For a stock loader: ``DataLoader(dataset, batch_size=256, shuffle=True, collate_fn=MapDataset.collate)``. The loader
    asks for a whole batch at once (``__getitems__``), so that windows are gathered as in training.

    Parameters
    ----------
    sources
        As from `contracts.Dataset.sources`.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._windows = build_index(sources)

    def __len__(self) -> int:
        return self._windows.num_items

    def __getitem__(self, number: int) -> Batch:
        if not 0 <= number < len(self):  # what ends a plain `for`
            raise IndexError(number)
        return self.__getitems__([number])

    def __getitems__(self, numbers: Sequence[int]) -> Batch:
        """One batch of some windows, grouped by their sources."""
        return gather(self._windows, np.asarray(numbers, dtype=np.int64), "float32")

    @staticmethod
    def collate(batch: Batch) -> Batch:
        """Nothing is left to collate."""
        return batch


def _num_columns(target: TargetSpec) -> int:
    return 1 if target.kind == "classes" else target.size


def _zeroed(values: Tensor, where: Tensor) -> Tensor:
    """Values, 0 where a mask over their first axes says so; NaN times zero would stay."""
    if not where.any():
        return values
    values = values.clone()
    values[where] = 0
    return values
