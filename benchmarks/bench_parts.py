"""The smallest run there is, so that a step is mostly what goes on around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from bench_options import BusyOptions, PerceptronOptions, RowsOptions
from torch import Tensor, nn

from visioncore_engine.contracts import (
    Batch,
    CallbackFacts,
    DatasetFacts,
    Group,
    GroupSpec,
    LossFacts,
    ModelFacts,
    Table,
    TargetSpec,
    Training,
)

__all__ = ["Busy", "Perceptron", "Rows", "RowsDataset", "Squared", "perceptron"]


class Rows:
    """Rows of one split."""

    frames_per_item = 1

    def __init__(self, group: GroupSpec, options: RowsOptions, num_items: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.group, self.num_items = group, num_items
        self.inputs = rng.standard_normal((num_items, options.inputs), dtype=np.float32)
        self.targets = rng.standard_normal((num_items, options.outputs), dtype=np.float32)
        self._mask = np.ones(num_items, dtype=bool)

    def weights(self) -> np.ndarray:
        """Every row counts once."""
        return np.ones(self.num_items)

    def column_weights(self) -> dict[str, np.ndarray]:
        """Every row counts in every column."""
        return {"y": np.full(self.targets.shape[1], float(self.num_items))}

    def gather(self, items: np.ndarray) -> Group:
        """Rows in the order of `items`."""
        return Group(
            name=self.group.name,
            index=0,
            inputs=torch.from_numpy(self.inputs[items]),
            targets={"y": torch.from_numpy(self.targets[items])},
            mask=torch.from_numpy(self._mask[items]),
            items=torch.from_numpy(items),
        )

    def score(self, name: str) -> np.ndarray:
        """Rows have no score."""
        raise KeyError(name)


class RowsDataset:
    """One group of rows."""

    def __init__(self, options: RowsOptions, facts: DatasetFacts) -> None:
        self._options = options
        ids = tuple(f"c{column}" for column in range(options.outputs))
        target = TargetSpec("values", options.outputs, "columns", ids)
        self.groups = (GroupSpec("rows", {}, (options.inputs,), {"y": target}),)

    def sources(self, split: str, history: int) -> list[Rows]:
        """Rows of a split."""
        num_items = self._options.num_items if split == "train" else 64
        return [Rows(self.groups[0], self._options, num_items, seed=len(split))]

    def fingerprints(self) -> dict[str, str]:
        """Nothing to tell apart."""
        return {"rows": "rows"}

    def state(self) -> dict[str, Any]:
        """Nothing is fitted."""
        return {}

    def summary(self) -> Table:
        """How many rows there are."""
        return Table(("rows",), [{"rows": self._options.num_items}])


def perceptron(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Three layers with rectifiers between them."""
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs)
    )


class Perceptron(nn.Module):
    """The model: rows to columns."""

    history = 0

    def __init__(self, options: PerceptronOptions, facts: ModelFacts) -> None:
        super().__init__()
        (group,) = facts.groups
        self.layers = perceptron(group.input_shape[0], options.width, group.targets["y"].size)

    def forward(self, batch: Batch) -> list[dict[str, Tensor]]:
        """Predict."""
        return [{"y": self.layers(group.inputs)} for group in batch.groups]


class Squared:
    """Squared error of every value; nothing is masked."""

    def __init__(self, options: object, facts: LossFacts) -> None:
        pass

    def weights(self, group: Group) -> dict[str, Tensor]:
        """Rows per column."""
        size = group.targets["y"].shape[1]
        return {"y": torch.full((size,), float(len(group.items)), dtype=torch.float64)}

    def __call__(self, outputs: Mapping[str, Tensor], group: Group) -> dict[str, Tensor]:
        """Sum per column."""
        return {"y": (outputs["y"] - group.targets["y"]).square().sum(0)}


class Busy(pl.Callback):
    """Five hooks, three of them called in every step, and some scalars logged by Lightning's own `log`."""

    def __init__(self, options: BusyOptions, facts: CallbackFacts | None) -> None:
        self._scalars = options.scalars
        self._value = torch.zeros(())
        self.calls = 0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count."""
        self.calls += 1

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count."""
        self.calls += 1

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Count."""
        self.calls += 1

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count, and log."""
        self.calls += 1
        if not self._scalars:
            return
        # Asked once: Python compares every member of a protocol in `isinstance`.
        keep = pl_module.track if isinstance(pl_module, Training) else pl_module.log  # stock Lightning
        for number in range(self._scalars):
            keep(f"{id(self)}/{number}", self._value)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count."""
        self.calls += 1
