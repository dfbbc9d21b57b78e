"""The windows of a split over all groups, numbered as one range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from visioncore_engine.contracts import Batch, Dataset, Encoding, Group, Index, Source
from visioncore_engine.errors import DataError, Problem

__all__ = ["Dtype", "build_index", "gather", "on_its_way", "open_sources", "owners", "read", "share"]

Dtype = Literal["stored", "bfloat16", "float32"]

_MOST_SHOWN = 8


def open_sources(dataset: Dataset, split: str, model: object, history: int) -> Sequence[Source]:
    """Windows of a split for a model; without inputs where the model uses none and a source can leave them out.

    Parameters
    ----------
    dataset, split, history
        As for `contracts.Dataset.sources`.
    model
        Its ``uses_inputs`` is asked.
    """
    sources = dataset.sources(split, history)
    if getattr(model, "uses_inputs", True):
        return sources
    return [source.without_inputs() if hasattr(source, "without_inputs") else source for source in sources]


def build_index(sources: Sequence[Source]) -> Index:
    """Number the windows of `sources` 0 … n - 1, group after group.

    Raises
    ------
    DataError
        Where no group has a window, the groups' windows differ in length, or a group's weights are no weights of them.
    """
    lengths = {source.frames_per_item for source in sources if source.num_items}
    if not lengths:
        names = ", ".join(source.group.name for source in sources) or "none"
        raise DataError(Problem(what=f"no training window in any group (groups: {names})", key="data"))
    if len(lengths) > 1:
        raise DataError(Problem(what="windows of different length in one run", given=str(sorted(lengths)), key="data"))
    return Index(
        groups=tuple(source.group for source in sources),
        offsets=np.cumsum([0, *(source.num_items for source in sources)], dtype=np.int64),
        weights=tuple(map(_weights, sources)),
        column_weights=tuple(source.column_weights() for source in sources),
        sources=tuple(sources),
        frames_per_item=lengths.pop(),
    )


def _weights(source: Source) -> np.ndarray:
    """Weights of a group's windows, float64 (num_items,)."""
    weights = np.asarray(source.weights(), dtype=np.float64)
    wrong = int(np.count_nonzero(~((weights >= 0) & np.isfinite(weights))))
    what = ""
    if weights.shape != (source.num_items,):
        what = f"weights of shape {weights.shape} for {source.num_items} windows"
    elif wrong:
        what = f"{wrong} of {weights.size} weights of windows are negative or not finite"
    if what:
        raise DataError(Problem(what=f"group {source.group.name!r}: {what}", key="data"))
    return weights


def _split_by_group(index: Index, items: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Groups that `items` fall in, in the dataset's order, with their own window numbers in the plan's order."""
    if len(index.sources) == 1 and items.size:
        yield 0, items
        return
    owner_of = np.searchsorted(index.offsets, items, side="right") - 1
    for owner in np.unique(owner_of):
        yield int(owner), items[owner_of == owner] - index.offsets[owner]


def owners(index: Index, items: np.ndarray) -> tuple[int, ...]:
    """Groups that `items` fall in, in order."""
    return tuple(np.unique(np.searchsorted(index.offsets, items, side="right") - 1).tolist())


def gather(index: Index, items: np.ndarray, dtype: Dtype = "stored") -> Batch:
    """Read windows into a batch, one gather per group.

    Parameters
    ----------
    index
        The windows.
    items
        int64 (B,), numbers of `index`.
    dtype
        As for `read`.

    Raises
    ------
    DataError
        Where a sampler named a window that does not exist.
    """
    if items.size and not (items.min() >= 0 and items.max() < index.num_items):
        wrong = items[(items < 0) | (items >= index.num_items)][0]
        raise DataError(
            Problem(
                what=f"the sampler named a window outside 0 … {index.num_items - 1}", given=str(wrong), key="sampler"
            )
        )
    return Batch([read(index.sources[owner], own, dtype) for owner, own in _split_by_group(index, items)])


def read(source: Source, items: np.ndarray, dtype: Dtype = "stored") -> Group:
    """Read windows of one group.

    Parameters
    ----------
    source, items
        The source, and windows of it, int64 (B,).
    dtype
        Of the inputs until they are on the device: ``stored`` as the source has them, ``float32`` their values,
        ``bfloat16`` their values rounded.
    """
    reader = source.gather if dtype == "float32" else getattr(source, "stored", source.gather)
    try:
        group: Group = reader(items)
    except Exception as error:
        error.add_note(f"reading windows {_shown(items)} of group {source.group.name!r}")
        raise
    return _rounded(group.decoded()) if dtype == "bfloat16" else group


def on_its_way(dtype: Dtype, device: torch.device) -> Dtype:
    """As what to read inputs for a device: for a CPU they do not travel, and become values while they are read."""
    return "float32" if dtype == "stored" and device.type == "cpu" else dtype


def _rounded(group: Group) -> Group:
    plain = torch.ones((1,) * group.inputs.ndim)
    return replace(group, inputs=group.inputs.bfloat16(), encoding=Encoding(plain, torch.zeros_like(plain)))


def _shown(items: np.ndarray) -> str:
    more = f", … ({items.size} in all)" if items.size > _MOST_SHOWN else ""
    return ", ".join(map(str, items[:_MOST_SHOWN])) + more


def share(items: np.ndarray, part: int, parts: int) -> np.ndarray:
    """Contiguous share `part` of `parts` of a batch; shares differ by at most one window and may be empty."""
    if parts == 1:
        return items
    bounds = np.linspace(0, len(items), parts + 1).astype(np.int64)
    return items[bounds[part] : bounds[part + 1]]
