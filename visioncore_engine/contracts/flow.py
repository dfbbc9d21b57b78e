"""What flows: specifications of groups, batches, places in the plan, windows, and what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from visioncore_engine.contracts.data import Source

__all__ = ["Batch", "Encoding", "Group", "GroupSpec", "Index", "Position", "Result", "Table", "TargetSpec"]


@dataclass(frozen=True)
class TargetSpec:
    """What a group predicts for one task.

    Attributes
    ----------
    kind
        ``counts``, ``rates``, ``classes``, ``values``: a loss or metric says which it takes.
    size
        Outputs per prediction: number of columns, or of classes.
    columns
        The field's word for a column (``units``); empty where targets have no columns (classes).
    ids
        Stable identifiers of the columns or names of the classes, `size` of them.
    mean
        Mean of each column over the valid training values, float64 (size,); class frequencies for classes.
    """

    kind: str
    size: int
    columns: str = ""
    ids: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()


@dataclass(frozen=True)
class GroupSpec:
    """What is known of a group before any window is read.

    Attributes
    ----------
    name
        Unique among groups; heads, tables and logs use it.
    labels
        Label of the group under each grouping of the data, e.g. ``{"sessions": "m1_a", "subjects": "m1"}``.
    input_shape
        Shape of one input without the batch and, for sequences, time axis: (C, H, W).
    input_dtype
        Dtype in which inputs arrive at the model's door.
    targets
        Specification of each task's target.
    side
        Size K of each side input, by name (``behavior``, ``eyepos``).
    tags
        Exclusive upper bound of each integer tag of predictions, by name (``repeat_frame``).
    dt
        Seconds per frame; None where there is no time.
    facts
        Anything else that plugins of the same family agree on, plain values.
    """

    name: str
    labels: Mapping[str, str]
    input_shape: tuple[int, ...]
    targets: Mapping[str, TargetSpec]
    input_dtype: torch.dtype = torch.float32
    side: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, int] = field(default_factory=dict)
    dt: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Encoding:
    """What stored inputs stand for: ``inputs * scale + offset``, and 0 where `blank`.

    Attributes
    ----------
    scale, offset
        float32, as many axes as the inputs, broadcastable to them.
    blank
        Bool, as many axes as the inputs, broadcastable to them; None where nothing is blank.
    """

    scale: Tensor
    offset: Tensor
    blank: Tensor | None = None

    def to(self, device: torch.device | str) -> Encoding:
        """Copy of the encoding on `device`."""
        blank = None if self.blank is None else self.blank.to(device, non_blocking=True)
        return Encoding(self.scale.to(device), self.offset.to(device), blank)

    def decode(self, inputs: Tensor) -> Tensor:
        """Values of stored inputs, float32: cast, scaled and shifted on the device that they are on."""
        values = inputs.to(torch.float32, copy=True).mul_(self.scale).add_(self.offset)
        return values if self.blank is None else values.masked_fill_(self.blank, 0.0)


@dataclass
class Group:
    """The part of a batch that belongs to one group.

    Attributes
    ----------
    name, index
        Name of the group and its position among the dataset's groups.
    inputs
        (B, C, T, H, W) for sequences, oldest frame first, T = history + L; (B, C, H, W) for examples.
    targets
        Per task: (B, L, N) counts or rates; (B,) int64 classes.
    mask
        Bool, True where a value counts: broadcastable to the target, (B, L, N) or (B, L, 1); (B,) for examples.
    side
        Per name: (B, T, K) for sequences, (B, K) for examples; float32.
    tags
        Per name: integers of each prediction, (B, L) or (B,), int64; -1 where the tag does not apply.
    items
        (B,) int64: which window of the group each row is; random draws are keyed by it.
    encoding
        What `inputs` stand for while they are on their way from a loader, in the dtype in which they are stored. `to`
        decodes them: models, transforms, losses and metrics never meet one.
    """

    name: str
    index: int
    inputs: Tensor
    targets: dict[str, Tensor]
    mask: Tensor
    items: Tensor
    side: dict[str, Tensor] = field(default_factory=dict)
    tags: dict[str, Tensor] = field(default_factory=dict)
    encoding: Encoding | None = None

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Group:
        """Copy of the group, decoded, every tensor on `device`, floating-point ones as `dtype` where it is given."""

        def move(value: Tensor) -> Tensor:
            return value.to(device, dtype if value.is_floating_point() else None, non_blocking=True)

        def move_all(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: move(value) for name, value in values.items()}

        return Group(
            name=self.name,
            index=self.index,
            inputs=move(self._on(device).inputs),
            targets=move_all(self.targets),
            mask=move(self.mask),
            items=move(self.items),
            side=move_all(self.side),
            tags=move_all(self.tags),
        )

    def _on(self, device: torch.device | str) -> Group:
        """Inputs on `device`, decoded there: stored bytes are fewer to move."""
        if self.encoding is None:
            return self
        inputs = self.inputs.to(device, non_blocking=True)
        return replace(self, inputs=inputs, encoding=self.encoding.to(device)).decoded()

    def decoded(self) -> Group:
        """The group with the values of its inputs, where they are."""
        if self.encoding is None:
            return self
        return replace(self, inputs=self.encoding.decode(self.inputs), encoding=None)


@dataclass
class Batch:
    """A micro-batch: its groups in the dataset's order, each at most once."""

    groups: list[Group]

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Batch:
        """Copy of the batch, decoded, every tensor on `device`, floating-point ones as `dtype` where it is given."""
        return Batch([group.to(device, dtype) for group in self.groups])

    def decoded(self) -> Batch:
        """The batch with the values of its inputs, where they are."""
        return Batch([group.decoded() for group in self.groups])

    def __len__(self) -> int:
        return sum(len(group.items) for group in self.groups)


class Position(NamedTuple):
    """A place in the plan: `step` of `epoch`, and `global_step` optimizer steps since the start."""

    epoch: int
    step: int
    global_step: int


@dataclass(frozen=True)
class Index:
    """The training windows of every group, as a sampler sees them.

    Windows are numbered 0 … `num_items` - 1; those of group g are `offsets[g]` … `offsets[g + 1]` - 1.

    Attributes
    ----------
    groups
        Specifications, in the dataset's order.
    offsets
        int64 (G + 1,).
    weights
        Per group: float64 (items of the group,), valid predictions of each window.
    column_weights
        Per group and task: float64 (N,), valid values of each column over all windows of the split.
    sources
        The sources, for samplers that score windows (`Source.score`).
    frames_per_item
        Predicted frames of a window: `batch_size` counts frames.
    """

    groups: tuple[GroupSpec, ...]
    offsets: np.ndarray
    weights: tuple[np.ndarray, ...]
    column_weights: tuple[Mapping[str, np.ndarray], ...]
    sources: tuple[Source, ...]
    frames_per_item: int

    @property
    def num_items(self) -> int:
        """Number of windows in all groups."""
        return int(self.offsets[-1])


@dataclass
class Table:
    """Rows for a CSV file: every row has the keys of `columns`, in that order."""

    columns: tuple[str, ...]
    rows: list[dict[str, Any]]


@dataclass
class Result:
    """What a metric or evaluator found.

    Attributes
    ----------
    scalars
        Logged as ``<split>/<name>``; names are the component's declared `logs`, with ``/<group>`` behind where there
        is one value per group. NaN means that nothing could be scored, and is said as such.
    columns
        Per group: value per target column, float64 (N,), NaN where a column could not be scored.
    tables
        Written to ``<name>.csv`` in the run folder.
    figures
        Per name: a PNG picture as bytes.
    """

    scalars: dict[str, float] = field(default_factory=dict)
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    figures: dict[str, bytes] = field(default_factory=dict)
