"""The parts of a tiny run: closed forms within reach, a tenth of a second from start to report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn

from visioncore_engine.contracts import (
    Batch,
    CallbackFacts,
    DatasetFacts,
    Group,
    GroupSpec,
    LoggerFacts,
    LossFacts,
    MetricFacts,
    ModelFacts,
    OptimizerFacts,
    Position,
    Result,
    SamplerFacts,
    Source,
    Table,
    TargetSpec,
)
from visioncore_engine.data import Permutation, generator
from visioncore_engine.errors import DataError, Problem
from visioncore_engine.options import LossOptions, OptimizerOptions, Options, SamplerOptions
from visioncore_engine.testing.toyoptions import TinyCutOptions

__all__ = [
    "Cut",
    "TinyCut",
    "TinyData",
    "TinyError",
    "TinyLogger",
    "TinyLoss",
    "TinyModel",
    "TinySampler",
    "given",
    "giving",
    "tiny_optimizer",
]

_SIZES = {"train": (24, 16), "validation": (8, 8), "test": (8, 8)}
_SHAPE = (1, 2, 3)


_GIVEN: list[pl.Callback] = []


class Cut(BaseException):
    """Ends a run as abruptly as an exception can."""


@dataclass
class TinySource:
    """Windows held in memory."""

    group: GroupSpec
    index: int
    inputs: np.ndarray
    targets: np.ndarray
    mask: np.ndarray
    frames_per_item: int = 1
    num_items: int = field(init=False)

    def __post_init__(self) -> None:
        self.num_items = len(self.inputs)

    def weights(self) -> np.ndarray:
        """Windows with a valid value."""
        return np.asarray(self.mask.any(axis=1), dtype=np.float64)

    def column_weights(self) -> Mapping[str, np.ndarray]:
        """Valid values of each column."""
        return {"y": self.mask.sum(axis=0).astype(np.float64)}

    def gather(self, items: np.ndarray) -> Group:
        """Read windows."""
        return Group(
            name=self.group.name,
            index=self.index,
            inputs=torch.from_numpy(self.inputs[items]),
            targets={"y": torch.from_numpy(self.targets[items])},
            mask=torch.from_numpy(self.mask[items]),
            items=torch.from_numpy(items),
        )

    def score(self, name: str) -> np.ndarray:
        """Refuse: there are no scores."""
        raise KeyError(name)


class TinyData:
    """Two groups with 3 and 2 columns: a linear function of 6 inputs, noise, and a fifth of the values masked."""

    def __init__(self, options: Options, facts: DatasetFacts) -> None:
        self._seed = facts.seed
        self.groups = tuple(self._spec(number) for number in range(2))

    def sources(self, split: str, history: int) -> Sequence[Source]:
        """One source per group."""
        if split not in _SIZES:
            raise DataError(Problem(what=f"no split {split!r}", todo=f"splits: {', '.join(_SIZES)}"))
        return [self._source(number, split) for number in range(2)]

    def fingerprints(self) -> Mapping[str, str]:
        """Name and seed: the data are a function of both."""
        return {group.name: f"{group.name}-{self._seed}" for group in self.groups}

    def state(self) -> dict[str, Any]:
        """Nothing is fitted."""
        return {}

    def summary(self) -> Table:
        """A row per group."""
        rows = [{"group": group.name, "columns": group.targets["y"].size} for group in self.groups]
        return Table(("group", "columns"), rows)

    def _spec(self, number: int) -> GroupSpec:
        target = TargetSpec("values", 3 - number, "columns", tuple(f"c{column}" for column in range(3 - number)))
        return GroupSpec(f"group{number}", {"groups": f"group{number}"}, _SHAPE, {"y": target})

    def _source(self, number: int, split: str) -> TinySource:
        spec, size = self.groups[number], _SIZES[split][number]
        draws = generator("tiny", self._seed, number, split)
        weights = generator("tiny weights", number).normal(size=(6, spec.targets["y"].size))
        inputs = draws.normal(size=(size, *_SHAPE)).astype(np.float32)
        targets = inputs.reshape(size, -1) @ weights + 0.1 * draws.normal(size=(size, weights.shape[1]))
        mask = draws.random(targets.shape) >= 0.2
        return TinySource(spec, number, inputs, targets.astype(np.float32), mask)


class TinySampler:
    """Every window once per epoch, in an order keyed by (seed, epoch)."""

    def __init__(self, options: SamplerOptions, facts: SamplerFacts) -> None:
        self._num, self._seed = facts.index.num_items, facts.seed
        self._size = max(1, options.batch_size // facts.index.frames_per_item)
        self._whole = -(-self._num // self._size)
        self._steps = options.batches_per_epoch or self._whole

    def steps_per_epoch(self) -> int:
        """As asked, or one pass."""
        return self._steps

    def batch(self, position: Position) -> np.ndarray:
        """Windows of a batch, int64 (B,)."""
        turn, step = divmod(position.epoch * self._steps + position.step, self._whole)
        places = np.arange(step * self._size, min((step + 1) * self._size, self._num), dtype=np.int64)
        return Permutation(self._num, ("tiny", self._seed, turn))(places)

    def curriculum(self, position: Position) -> dict[str, float]:
        """Return the share of the pass that is over; for callbacks that log such a thing."""
        return {"passed": position.step / self._steps}


class TinyModel(nn.Module):
    """A shared linear layer of 4 features, and a linear head per group."""

    history = 0

    def __init__(self, options: Options, facts: ModelFacts) -> None:
        super().__init__()
        self.core = nn.Linear(6, 4)
        self.heads = nn.ModuleDict({group.name: nn.Linear(4, group.targets["y"].size) for group in facts.groups})

    def forward(self, batch: Batch) -> list[dict[str, Tensor]]:
        """Predict the columns of every group."""
        return [{"y": self.heads[group.name](self.core(group.inputs.flatten(1)))} for group in batch.groups]


def _errors(outputs: Mapping[str, Tensor], group: Group) -> Tensor:
    """Difference where the mask is true, else 0: what is masked reaches neither value nor gradient."""
    return torch.where(group.mask, outputs["y"] - torch.where(group.mask, group.targets["y"], 0.0), 0.0)


class TinyLoss:
    """Squared error."""

    def __init__(self, options: LossOptions, facts: LossFacts) -> None:
        pass

    def weights(self, group: Group) -> Mapping[str, Tensor]:
        """Valid values of each column."""
        return {"y": group.mask.sum(0).double()}

    def __call__(self, outputs: Mapping[str, Tensor], group: Group) -> Mapping[str, Tensor]:
        """Sum of squared errors of each column."""
        return {"y": _errors(outputs, group).square().sum(0)}


class TinyError:
    """Mean squared error over all columns."""

    def __init__(self, options: Options, facts: MetricFacts) -> None:
        pass

    def state(self, group: GroupSpec) -> dict[str, Tensor]:
        """Sums of nothing."""
        size = group.targets["y"].size
        return {name: torch.zeros(size, dtype=torch.float64) for name in ("error", "count")}

    def update(self, state: dict[str, Tensor], outputs: Mapping[str, Tensor], group: Group) -> None:
        """Add a batch."""
        state["error"] += _errors(outputs, group).double().square().sum(0)
        state["count"] += group.mask.sum(0)

    def compute(self, states: Mapping[str, dict[str, Tensor]]) -> Result:
        """Mean of each column, and of them all."""
        columns = {name: (state["error"] / state["count"]).numpy() for name, state in states.items()}
        return Result(scalars={"tiny": float(np.nanmean(np.concatenate(list(columns.values()))))}, columns=columns)


def tiny_optimizer(options: OptimizerOptions, facts: OptimizerFacts) -> torch.optim.Optimizer:
    """Gradient descent with momentum."""
    return torch.optim.SGD(facts.torch_groups(), lr=options.lr, momentum=0.5)


class TinyCut(pl.Callback):
    """Cuts the run off before a step."""

    def __init__(self, options: TinyCutOptions, facts: CallbackFacts) -> None:
        self._at = options.at

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Raise `Cut` where it is time."""
        if trainer.global_step == self._at:
            raise Cut


@contextmanager
def giving(callback: pl.Callback) -> Iterator[None]:
    """Let the callback `tiny_given` of runs be this one."""
    _GIVEN.append(callback)
    try:
        yield
    finally:
        _GIVEN.pop()


def given(options: Options, facts: CallbackFacts) -> pl.Callback:
    """Return the callback that a test gives."""
    return _GIVEN[-1]


class TinyLogger(Logger):
    """Keeps nothing."""

    def __init__(self, options: Options, facts: LoggerFacts) -> None:
        super().__init__()

    @property
    def name(self) -> str:
        """Its name."""
        return "tiny"

    @property
    def version(self) -> str:
        """It has none."""
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Ignore them."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Ignore them."""
