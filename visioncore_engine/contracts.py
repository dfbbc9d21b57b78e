"""What builders receive (facts) and what they must return (protocols). The first module that imports torch.

Words: a **group** is one recording, task or domain with its own head; a **window** (or item) is one sample of a
group, `length` predicted frames for sequences and one example elsewhere; **columns** are what a target predicts side
by side (units, classes are not columns). Shapes: B windows, C channels, T input frames, L predicted frames, H, W
pixels, N columns. Sequences are oldest first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from visioncore_engine.schedule import Clock

__all__ = [
    "Adapter",
    "AdapterFacts",
    "Batch",
    "CallbackFacts",
    "Clock",
    "Dataset",
    "DatasetFacts",
    "Evaluation",
    "Evaluator",
    "EvaluatorFacts",
    "Group",
    "GroupSpec",
    "Index",
    "LoggerFacts",
    "Loss",
    "LossFacts",
    "Metric",
    "MetricFacts",
    "Model",
    "ModelFacts",
    "Modulator",
    "ModulatorFacts",
    "OptimizerFacts",
    "ParameterGroup",
    "Position",
    "Preparation",
    "PreparationFacts",
    "Reader",
    "ReaderFacts",
    "Readout",
    "ReadoutFacts",
    "Regularizer",
    "RegularizerFacts",
    "Result",
    "Sampler",
    "SamplerFacts",
    "Scheduler",
    "SchedulerFacts",
    "Source",
    "Stage",
    "StageFacts",
    "Table",
    "TargetSpec",
    "Transform",
    "TransformFacts",
]

# ---------------------------------------------------------------------------------------------------------------
# What flows


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
    """

    name: str
    index: int
    inputs: Tensor
    targets: dict[str, Tensor]
    mask: Tensor
    items: Tensor
    side: dict[str, Tensor] = field(default_factory=dict)
    tags: dict[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Group:
        """Copy of the group with every tensor on `device`, floating-point ones as `dtype` where it is given."""

        def move(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            return value.to(device, dtype if value.is_floating_point() else None, non_blocking=True)

        moved: dict[str, Any] = {
            name: {key: move(item) for key, item in value.items()} if isinstance(value, dict) else move(value)
            for name, value in vars(self).items()
        }
        return Group(**moved)


@dataclass
class Batch:
    """A micro-batch: its groups in the dataset's order, each at most once."""

    groups: list[Group]

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Batch:
        """Copy of the batch with every tensor on `device`, floating-point ones as `dtype` where it is given."""
        return Batch([group.to(device, dtype) for group in self.groups])

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


# ---------------------------------------------------------------------------------------------------------------
# Data


class Source(Protocol):
    """The windows of one group in one split. Picklable, and safe to read from several threads and processes."""

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
    """Opened data: headers read and preparations fitted, on training frames only; windows are read on demand."""

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


# ---------------------------------------------------------------------------------------------------------------
# Model


@dataclass(frozen=True)
class ModelFacts:
    """What a model is built with."""

    groups: tuple[GroupSpec, ...]
    seed: int


@runtime_checkable
class Model(Protocol):
    """An `nn.Module` from a batch to one mapping task -> outputs per group, in the batch's order.

    Outputs are (B, L', N) with L' >= L for sequences (the last L are used), (B, classes) for classes.
    `history` is the number of input frames needed before the first predicted one.
    """

    history: int

    def __call__(self, batch: Batch) -> list[dict[str, Tensor]]:
        """Predict."""
        ...


@dataclass(frozen=True)
class AdapterFacts:
    """What an adapter is built with; one is built per group."""

    in_shape: tuple[int, int, int]  # (C, H, W)
    group: GroupSpec


class Adapter(Protocol):
    """`nn.Module`: (B, C, T, H, W) -> (B, C', T, H', W'); `out_shape` is the same for every group."""

    out_shape: tuple[int, int, int]

    def __call__(self, inputs: Tensor) -> Tensor:
        """Adapt one group's inputs."""
        ...


@dataclass(frozen=True)
class StageFacts:
    """What a stage is built with."""

    in_shape: tuple[int, int, int]  # (C, H, W)
    dt: float | None


class Stage(Protocol):
    """`nn.Module`: (B, C, T, H, W) -> (B, C', T - history, H', W'), frame t of the output at frame t + history.

    `history` counts the earlier frames that an output frame sees (0 for a stage that works frame by frame);
    `burn_in` is more than 0 for a recurrent stage, whose true history has no bound: the frames that it runs over
    before its output is used.
    """

    out_shape: tuple[int, int, int]
    history: int
    burn_in: int

    def __call__(self, features: Tensor) -> Tensor:
        """Run the stage."""
        ...


@dataclass(frozen=True)
class ModulatorFacts:
    """What a modulator is built with; `side` is the size of each side input that every group has."""

    in_shape: tuple[int, int, int]  # (C, H, W)
    side: Mapping[str, int]


class Modulator(Protocol):
    """`nn.Module`: (features (B, C, T, H, W), side {name: (B, T, K)}) -> (B, C', T, H, W).

    It starts as the identity where its class says so (`identity_at_start = True`).
    """

    out_shape: tuple[int, int, int]

    def __call__(self, features: Tensor, side: Mapping[str, Tensor]) -> Tensor:
        """Modulate."""
        ...


@dataclass(frozen=True)
class ReadoutFacts:
    """What a readout is built with; one is built per group and task."""

    in_shape: tuple[int, int, int]  # (C, H, W)
    group: GroupSpec
    target: TargetSpec


class Readout(Protocol):
    """`nn.Module`: features (B, C, T, H, W) -> (B, T, N), before the output nonlinearity. Has `bias` (N,)."""

    bias: nn.Parameter

    def __call__(self, features: Tensor) -> Tensor:
        """Read out one group."""
        ...


# ---------------------------------------------------------------------------------------------------------------
# Learning


@dataclass(frozen=True)
class LossFacts:
    """What a loss is built with."""

    groups: tuple[GroupSpec, ...]


class Loss(Protocol):
    """Masked sums per column, and the weights that the engine divides their total by.

    With G the groups and B the micro-batches of one global step, over all processes, the loss of a term is
    ``sum_{g,b} c_g . S_gb / sum_{g,b} c_g . W_gb`` where c_g are the fixed coefficients of `LossOptions.weighting`.
    A value under a false mask must not reach the sum or its gradient, not even as NaN times zero.
    """

    def weights(self, group: Group) -> Mapping[str, Tensor]:
        """Weight of each term per column, float64 (N,) or (1,): from mask and targets, before the forward pass."""
        ...

    def __call__(self, outputs: Mapping[str, Tensor], group: Group) -> Mapping[str, Tensor]:
        """Masked sum of each term per column, with gradient; names and shapes as in `weights`."""
        ...


@dataclass(frozen=True)
class MetricFacts:
    """What a metric is built with."""

    groups: tuple[GroupSpec, ...]


class Metric(Protocol):
    """Sufficient statistics in float64 that add up: over batches, processes and any cut of the data."""

    def state(self, group: GroupSpec) -> dict[str, Tensor]:
        """Zeros, float64, of the size of the statistics."""
        ...

    def update(self, state: dict[str, Tensor], outputs: Mapping[str, Tensor], group: Group) -> None:
        """Add a batch in place."""
        ...

    def compute(self, states: Mapping[str, dict[str, Tensor]]) -> Result:
        """Scores from the states of all groups, by group name."""
        ...


@dataclass(frozen=True)
class RegularizerFacts:
    """What a regularizer is built with: the parameters that its patterns matched, by name."""

    parameters: Mapping[str, nn.Parameter]


class Regularizer(Protocol):
    """A penalty, a proximal step, or both. The engine multiplies by `strength` and calls each once per step.

    Parameters without a gradient in this step are left out of both.
    """

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """Differentiable scalar, before `strength`; None where there is only a proximal step."""
        ...

    def proximal(self, parameters: Mapping[str, Tensor], strength: float, rates: Mapping[str, float]) -> None:
        """Change the parameters in place, after the optimizer step; `rates` are their learning rates."""
        ...


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters with one rate and one decay."""

    name: str
    parameters: Mapping[str, nn.Parameter]
    lr: float
    weight_decay: float


@dataclass(frozen=True)
class OptimizerFacts:
    """What an optimizer is built with."""

    groups: tuple[ParameterGroup, ...]
    fused: bool

    def torch_groups(self) -> list[dict[str, Any]]:
        """Return the parameter groups as torch optimizers take them."""
        return [
            {
                "params": list(group.parameters.values()),
                "lr": group.lr,
                "weight_decay": group.weight_decay,
                "name": group.name,
            }
            for group in self.groups
        ]


@dataclass(frozen=True)
class SchedulerFacts:
    """What a scheduler is built with; `total_steps` is None where the run has no planned end."""

    total_steps: int | None
    steps_per_epoch: int


class Scheduler(Protocol):
    """The factor on every base rate for each optimizer step."""

    def factor(self, step: int) -> float:
        """Factor (>= 0) for optimizer step `step`, counted from 0."""
        ...

    def observe(self, scores: Mapping[str, float]) -> None:
        """Take the scalars of a validation, by logged name; most schedulers ignore them."""
        ...

    def state(self) -> dict[str, Any]:
        """Plain values that `restore` takes back; empty for a pure schedule."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a state."""
        ...


@dataclass(frozen=True)
class CallbackFacts:
    """What a callback is built with."""

    run_dir: Path
    monitor: str
    mode: str
    total_steps: int | None
    steps_per_epoch: int


@dataclass(frozen=True)
class LoggerFacts:
    """What a logger is built with. `resume_id` is what the logger kept in the checkpoint, None on a fresh run."""

    run_dir: Path
    run_name: str
    config: Mapping[str, Any]
    resume_id: str | None = None


# ---------------------------------------------------------------------------------------------------------------
# Afterwards


@dataclass(frozen=True)
class EvaluatorFacts:
    """What an evaluator is built with."""

    groups: tuple[GroupSpec, ...]


class Evaluation(Protocol):
    """What an evaluator may use: the trained model in eval mode and the data it is evaluated on."""

    dataset: Dataset
    model: nn.Module
    split: str
    scores: Mapping[str, Result]  # what each metric of the run found on this split, by its name

    def batches(self, groups: Sequence[str] | None = None) -> Iterator[tuple[Batch, list[dict[str, Tensor]]]]:
        """Every window of the split once, in order, with the model's outputs (cropped to the predicted frames)."""
        ...


@runtime_checkable
class Evaluator(Protocol):
    """Makes tables, figures and scalars from a trained model."""

    def evaluate(self, evaluation: Evaluation) -> Result:
        """Evaluate."""
        ...
