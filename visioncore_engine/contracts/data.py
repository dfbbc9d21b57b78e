"""Data: sources of windows, datasets, readers, preparations, samplers and transforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from visioncore_engine.contracts.flow import Batch, Group, GroupSpec, Index, Position, Table

__all__ = [
    "Dataset",
    "DatasetFacts",
    "Preparation",
    "PreparationFacts",
    "Reader",
    "ReaderFacts",
    "Sampler",
    "SamplerFacts",
    "Source",
    "Transform",
    "TransformFacts",
]


class Source(Protocol):
    """The windows of one group in one split. Picklable, and safe to read from several threads and processes.

    A source may also have ``stored(items) -> Group``: the same windows with inputs as they are stored (8-bit integers,
    say) and their `Encoding`. Loaders then read that, and the values are made on the device. And it may have
    ``without_inputs() -> Source``: the same windows, whose inputs hold nothing, (B, 0, T, H, W).
    """

    group: GroupSpec
    num_items: int
    frames_per_item: int  # predicted frames of a window, 1 for examples

    def weights(self) -> np.ndarray:
        """Valid predictions of each window, float64 (num_items,)."""
        ...

    def column_weights(self) -> Mapping[str, np.ndarray]:
        """Valid values of each column per task over all windows, float64 (N,)."""
        ...

    def gather(self, items: np.ndarray) -> Group:
        """Read windows: `items` is int64 (B,), the rows of the group come in that order, on the CPU."""
        ...

    def score(self, name: str) -> np.ndarray:
        """Score of each window by name, float64 (num_items,); raises KeyError with the known names."""
        ...


@dataclass(frozen=True)
class DatasetFacts:
    """What a dataset is built with."""

    seed: int
    # What `Dataset.state` returned when the model was trained; None when preparations are to be fitted.
    state: Mapping[str, Any] | None = None


class Dataset(Protocol):
    """Opened data: headers read and preparations fitted, on training frames only; windows are read on demand.

    Frames may be brought to another home (``loader.home``) where a dataset also has ``large_arrays()``, the arrays that
    windows are read from by a name each, and ``replace_arrays(arrays)``, which has it read from others from then on: a
    NumPy array that all processes of the host share, or a tensor on the device, of any of them
    (`visioncore_engine.data.window_frames` reads from either).
    """

    groups: tuple[GroupSpec, ...]

    def sources(self, split: str, history: int) -> Sequence[Source]:
        """One source per group, in the order of `groups`; an empty source has `num_items` 0.

        Parameters
        ----------
        split
            ``train``, ``validation`` or ``test``.
        history
            Input frames that the model needs before the first predicted one.
        """
        ...

    def fingerprints(self) -> Mapping[str, str]:
        """Content hash of each group's recording."""
        ...

    def state(self) -> dict[str, Any]:
        """Fitted preparation state, tensors and plain values; goes into the checkpoint."""
        ...

    def summary(self) -> Table:
        """What the data are, a row per group: frames per split, valid fraction, columns."""
        ...


@dataclass(frozen=True)
class ReaderFacts:
    """What a reader is built with."""

    path: Path


class Reader(Protocol):
    """Reads one recording; what it returns is agreed within a family (`visioncore_neural.recording.Recording`)."""

    def read(self) -> Any:
        """Open the recording."""
        ...


@dataclass(frozen=True)
class PreparationFacts:
    """What a preparation is built with."""

    group: str


class Preparation(Protocol):
    """Recording to recording. `fit` sees training frames only; `state` goes into the checkpoint."""

    def fit(self, recording: Any, train: np.ndarray) -> dict[str, Any]:
        """State from the frames where `train` (bool (T,)) is True."""
        ...

    def apply(self, recording: Any, state: Mapping[str, Any]) -> Any:
        """Prepared recording; never mixes frames of different trials or splits."""
        ...


@dataclass(frozen=True)
class SamplerFacts:
    """What a sampler is built with."""

    index: Index
    seed: int


class Sampler(Protocol):
    """The plan: a pure function of (seed, position). Costs O(batch) per batch; never knows about processes."""

    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch, the same for every epoch."""
        ...

    def batch(self, position: Position) -> np.ndarray:
        """Windows of the global batch at a position: int64 (B,), numbers of `Index`."""
        ...


@dataclass(frozen=True)
class TransformFacts:
    """What a transform is built with."""

    groups: tuple[GroupSpec, ...]


class Transform(Protocol):
    """Batch to batch on the device. Random draws are keyed by (seed, epoch, item), never by rank or worker."""

    training_only: bool

    def __call__(self, batch: Batch, key: int) -> Batch:
        """Transformed batch; `key` is derived from (seed, epoch)."""
        ...
