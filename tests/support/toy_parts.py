"""The parts of the toy family: two-dimensional shapes only, closed forms within reach."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch import nn

from visioncore_engine.contracts import Group, GroupSpec, Result, Table, TargetSpec
from visioncore_engine.data.draws import generator
from visioncore_engine.errors import DataError, Problem

SPLITS = {"train": 0, "validation": 1, "test": 2}


class ToySource:
    frames_per_item = 1

    def __init__(self, spec, index, inputs, targets, mask):
        self.group, self._index = spec, index
        self.inputs, self.targets, self.mask = inputs, targets, mask
        self.num_items = len(inputs)

    def weights(self):
        return self.mask.any(axis=1).astype(np.float64)

    def column_weights(self):
        return {"y": self.mask.sum(axis=0).astype(np.float64)}

    def gather(self, items):
        return Group(
            name=self.group.name,
            index=self._index,
            inputs=torch.from_numpy(self.inputs[items]),
            targets={"y": torch.from_numpy(self.targets[items])},
            mask=torch.from_numpy(self.mask[items]),
            items=torch.from_numpy(items),
        )

    def score(self, name):
        raise KeyError(name)


class ToyData:
    def __init__(self, options, facts):
        self.options, self.seed, self.restored = options, facts.seed, facts.state
        self.groups = tuple(self._spec(number) for number in range(options.num_groups))

    def _spec(self, number):
        size = self.options.num_columns + number
        target = TargetSpec("values", size, "cells", tuple(f"g{number}c{column}" for column in range(size)))
        return GroupSpec(
            f"group{number}", {"places": f"group{number}", "owners": f"o{number % 2}"}, (5,), {"y": target}
        )

    def sources(self, split, history):
        if split not in SPLITS:
            raise DataError(Problem(what=f"no split {split!r}; splits: {', '.join(SPLITS)}"))
        return [self._source(number, split) for number in range(len(self.groups))]

    def _source(self, number, split):
        spec, options = self.groups[number], self.options
        size = spec.targets["y"].size
        draws = generator(self.seed, number, SPLITS[split])
        num_items = (options.num_items + 10 * number) if split == "train" else 7
        inputs = draws.normal(size=(num_items, 5)).astype(np.float32)
        weights = generator(99, number).normal(size=(5, size))
        targets = (inputs @ weights + 0.1 * draws.normal(size=(num_items, size))).astype(np.float32)
        mask = draws.random((num_items, size)) >= options.masked
        if options.poison is not None:
            targets[~mask] = float(options.poison)
        return ToySource(spec, number, inputs, targets, mask)

    def fingerprints(self):
        return {group.name: f"{self.seed}-{group.name}" for group in self.groups}

    def state(self):
        return {"seed": self.seed}

    def summary(self):
        return Table(("group", "columns"), [{"group": g.name, "columns": g.targets["y"].size} for g in self.groups])


class ToySampler:
    def __init__(self, options, facts):
        self.options, self.index, self.seed = options, facts.index, facts.seed

    def steps_per_epoch(self):
        return self.options.batches_per_epoch or -(-self.index.num_items // self.options.batch_size)

    def batch(self, position):
        draws = generator(self.seed, position.epoch, position.step)
        return draws.integers(self.index.num_items, size=self.options.batch_size)


class ToyModel(nn.Module):
    history = 0

    def __init__(self, options, facts):
        super().__init__()
        self.shared = nn.Linear(5, options.width)
        self.dropout = nn.Dropout(options.dropout)
        self.auxiliary = {"size": options.auxiliary} if options.auxiliary else {}
        self.heads = nn.ModuleDict(
            {group.name: nn.Linear(options.width, group.targets["y"].size) for group in facts.groups}
        )

    def forward(self, batch):
        outputs = []
        for group in batch.groups:
            features = torch.tanh(self.shared(group.inputs))
            outputs.append({"y": self.heads[group.name](self.dropout(features))})
            if self.auxiliary:
                outputs[-1]["auxiliary/size"] = features.square().mean(dim=-1)
        return outputs


class ToySquared:
    def __init__(self, options, facts):
        pass

    def weights(self, group):
        return {"y": group.mask.sum(0).double()}

    def __call__(self, outputs, group):
        error = torch.where(group.mask, outputs["y"] - torch.where(group.mask, group.targets["y"], 0.0), 0.0)
        return {"y": error.square().sum(0)}


class ToyError:
    def __init__(self, options, facts):
        pass

    def state(self, group):
        size = group.targets["y"].size
        return {"error": torch.zeros(size, dtype=torch.float64), "count": torch.zeros(size, dtype=torch.float64)}

    def update(self, state, outputs, group):
        error = torch.where(group.mask, outputs["y"] - torch.where(group.mask, group.targets["y"], 0.0), 0.0)
        state["error"] += error.double().square().sum(0)
        state["count"] += group.mask.sum(0)

    def compute(self, states):
        columns = {name: (state["error"] / state["count"]).numpy() for name, state in states.items()}
        everything = np.concatenate(list(columns.values()))
        scalars = {"toy_error": float(np.nanmean(everything)), "toy_count": float(np.isfinite(everything).sum())}
        return Result(scalars=scalars, columns=columns)


class ToyL2:
    def __init__(self, options, facts):
        self.parameters = facts.parameters

    def penalty(self, parameters):
        return torch.stack([value.square().sum() for value in parameters.values()]).sum()

    def proximal(self, parameters, strength, rates):
        pass


def toy_adamw(options, facts):
    return torch.optim.AdamW(facts.torch_groups(), lr=options.lr)


def toy_sgd(options, facts):
    return torch.optim.SGD(facts.torch_groups(), lr=options.lr)


class ToyHalving:
    def __init__(self, options, facts):
        self.best, self.value = float("inf"), 1.0

    def factor(self, step):
        return self.value

    def observe(self, scores):
        if scores["val/loss"] < self.best:
            self.best = scores["val/loss"]
        else:
            self.value /= 2

    def state(self):
        return {"best": self.best, "value": self.value}

    def restore(self, state):
        self.best, self.value = state["best"], state["value"]


class Cut(BaseException):
    """Ends a training as abruptly as an exception can; no `Exception` handler sees it."""


class ToyEvents(pl.Callback):
    def __init__(self, options, facts):
        self.options, self.events = options, []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if self.options.stop_at == trainer.global_step:
            raise Cut
        if self.options.fail_at == trainer.global_step:
            raise ValueError("the toy fails as asked")
        if self.options.signal_at == trainer.global_step and trainer.global_rank == trainer.world_size - 1:
            os.kill(os.getpid(), signal.Signals[self.options.signal_name])
        self.events.append(("batch", trainer.current_epoch, batch_idx))

    def on_train_epoch_end(self, trainer, pl_module):
        self.events.append(("epoch", trainer.current_epoch))

    def on_validation_end(self, trainer, pl_module):
        self.events.append(("validation", trainer.current_epoch))

    def state_dict(self):
        return {"events": [list(event) for event in self.events]}

    def load_state_dict(self, state_dict):
        self.events = [tuple(event) for event in state_dict["events"]]


class ToyMemory(Logger):
    def __init__(self, options, facts):
        super().__init__()
        self.rows = []
        ToyMemory.newest = self
        self.resume_id = facts.resume_id or "fresh"

    name = "toy"
    version = 0

    def log_hyperparams(self, params, *args, **kwargs):
        pass

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, dict(metrics)))


class ToyTable:
    def __init__(self, options, facts):
        pass

    def evaluate(self, evaluation):
        rows = [
            {"group": batch.groups[0].name, "rows": len(batch), "mean": float(outputs[0]["y"].mean())}
            for batch, outputs in evaluation.batches()
        ]
        return Result(tables={"toy": Table(("group", "rows", "mean"), rows)}, scalars={"toy_rows": len(rows)})
