"""The old way to train, frozen: single predictions, a pass through the core per session, stock Lightning around it.

Length 1; samples fetched one by one by a stock `DataLoader`; a batch is a list of sessions, each of which goes through
the whole model by itself; automatic optimization with Lightning's clipping; penalties are part of the loss; one
`self.log` per session in every step; validation keeps everything and scores it at the end.

Model, optimizer, objective, penalties and schedule are those of the run file, built by the engine, so that losses and
gradients can be compared with the engine's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytorch_lightning as pl
import torch
from old_data import MIDDLE, RANGE, OldSession, Part, Sample, old_loader
from old_metric import OldBitsPerSpike
from torch import Tensor
from torch.utils.data import DataLoader

from visioncore_engine.build import Parts
from visioncore_engine.contracts import Batch, Group, GroupSpec, Source
from visioncore_engine.data import generator
from visioncore_engine.objective import predict
from visioncore_engine.options import OptimizerOptions
from visioncore_engine.schedule import Clock, value_at
from visioncore_neural.data.source import SessionSource

__all__ = ["OldModule", "Plan", "group_of", "sessions_of", "training_loader", "validation_loader"]

MONITOR = "val/bits_per_spike"


def sessions_of(sources: Sequence[Source], history: int) -> list[OldSession]:
    """Windows of length 1 as the old layout's samples, under the numbers of the engine's index."""
    return [_session(source, history) for source in sources]


def _session(source: Source, history: int) -> OldSession:
    assert isinstance(source, SessionSource)
    recording = source.recording
    affine = recording.affine["stim"]
    if (float(affine.scale), float(affine.offset)) != (1 / RANGE, -MIDDLE / RANGE):
        raise ValueError("the old layout scales pixels in its own way: prepare with pixel_norm of its centre and range")
    every = slice(0, recording.num_frames)
    arrays = {
        "stim": torch.from_numpy(np.asarray(recording.stim)),
        "robs": torch.from_numpy(recording.counts(every).astype(np.float32)),
        "dfs": torch.from_numpy(recording.validity(every).astype(np.float32)),
    }
    lags: dict[str, list[int] | None] = {"stim": list(range(history, -1, -1)), "robs": None, "dfs": None}
    for name in source.group.side:
        arrays[name] = torch.from_numpy(recording.values(name, every))
        lags[name] = list(range(history, -1, -1))  # the engine's modulators crop a sequence to what they need
    frames = torch.from_numpy(source.frames(np.arange(source.num_items))[:, 0])
    return OldSession([Part(arrays)], torch.stack([torch.zeros_like(frames), frames], dim=1), lags)


def group_of(sample: Sample, groups: Sequence[GroupSpec]) -> Group:
    """A session's part of a batch, as the engine's models take it."""
    number = int(sample["session"][0])
    spec = groups[number]
    return Group(
        name=spec.name,
        index=number,
        inputs=sample["stim"],
        targets={"robs": sample["robs"][:, None]},
        mask=sample["dfs"][:, None] > 0,
        items=torch.arange(len(sample["stim"])),
        side={name: sample[name] for name in spec.side},
    )


class Plan:
    """Batches of one pass after another, each pass shuffled by itself; a short last batch is dropped.

    Parameters
    ----------
    num_items, size
        Samples, and those in a batch.
    seed
        Of the order.
    """

    def __init__(self, num_items: int, size: int, seed: int) -> None:
        self._num_items, self._size, self._seed, self._pass = num_items, size, seed, 0

    def __len__(self) -> int:
        return self._num_items // self._size

    def __iter__(self) -> Iterator[list[int]]:
        order = generator("old layout", self._seed, self._pass).permutation(self._num_items)
        self._pass += 1
        for step in range(len(self)):
            yield order[step * self._size : (step + 1) * self._size].tolist()


def training_loader(parts: Parts, size: int) -> DataLoader[Sample]:
    """Stock loader over the training windows of a run of length 1, `size` predictions in a batch."""
    plan = Plan(parts.index.num_items, size, parts.run.seed)
    return old_loader(sessions_of(parts.index.sources, parts.history), plan)


def validation_loader(parts: Parts, size: int) -> DataLoader[Sample]:
    """Stock loader over the validation windows, in order."""
    total = sum(source.num_items for source in parts.validation)
    batches = [list(range(start, min(start + size, total))) for start in range(0, total, size)]
    return old_loader(sessions_of(parts.validation, parts.history), batches)


class OldModule(pl.LightningModule):
    """The old module around the parts of a run.

    Parameters
    ----------
    parts
        Model, objective, optimizer, penalties and schedule; built for windows of length 1.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.parts = parts
        self.model = parts.model
        self._base = [group.lr for group in parts.groups]
        self._scores: dict[int, OldBitsPerSpike] = {}

    def loss(self, batch: Sequence[Sample]) -> Tensor:
        """Loss of a batch: every session through the whole model by itself."""
        objective = self.parts.objective
        groups = [group_of(sample, self.parts.dataset.groups) for sample in batch]
        weights = objective.weights([Batch(groups)])
        total: Tensor | None = None
        for group in groups:
            one = Batch([group])
            loss = objective.total(objective.sums(predict(self.model, one), one), weights)
            if loss is None or not bool(torch.isfinite(loss)):
                continue
            if self._trainer is not None:
                self.log(f"train/loss/{group.name}", loss.detach(), on_step=True, on_epoch=True)
            total = loss if total is None else total + loss
        assert total is not None
        return total

    def penalty(self, clock: Clock) -> Tensor:
        """Penalties on parameters, as a part of the loss."""
        total = torch.zeros(())
        for active in self.parts.regularization.regularizers:
            value = active.regularizer.penalty(dict(active.parameters))
            strength = value_at(active.strength, clock)
            if value is not None and bool(torch.isfinite(value)) and strength > 0:
                total = total + strength * value
                if self._trainer is not None:
                    self.log(f"reg_loss/{active.id}", value.item())
        return total

    def training_step(self, batch: Sequence[Sample], batch_idx: int) -> Tensor:
        """Loss and penalties; rates of this step."""
        step = self.global_step
        factor = self.parts.scheduler.factor(step) if self.parts.scheduler else 1.0
        for base, group in zip(self._base, self.parts.optimizer.param_groups, strict=True):
            group["lr"] = base * factor
        loss = self.loss(batch) + self.penalty(Clock(step, step / self.parts.steps_per_epoch, 0.0))
        self.log("train_loss", loss.detach(), on_step=True, on_epoch=True, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the validation before."""
        self._scores = {}

    def validation_step(self, batch: Sequence[Sample], batch_idx: int) -> None:
        """Keep everything."""
        for sample in batch:
            group = group_of(sample, self.parts.dataset.groups)
            (output,) = predict(self.model, Batch([group]))
            score = self._scores.setdefault(group.index, OldBitsPerSpike())
            score.update(output["robs"][:, 0], group.targets["robs"][:, 0], group.mask[:, 0].float())

    def on_validation_epoch_end(self) -> None:
        """Score it: the mean over all units, as the engine's metric has it."""
        units = torch.cat([score.compute() for _, score in sorted(self._scores.items())])
        self.log(MONITOR, units[torch.isfinite(units)].mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the run's own optimizer."""
        return self.parts.optimizer

    @property
    def clip(self) -> float | None:
        """Bound on the norm of the gradient, for Lightning's Trainer."""
        options = self.parts.run.optimizer.options
        assert isinstance(options, OptimizerOptions)
        return options.clip if options.clip is None or math.isfinite(options.clip) else None
