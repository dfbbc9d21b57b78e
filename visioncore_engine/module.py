"""One LightningModule around the parts: a training batch is a plan step, and a plan step is one optimizer step."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import methodcaller
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from visioncore_engine.build import Parts
from visioncore_engine.checkpoint import FORMAT, read_checkpoint
from visioncore_engine.contracts import Batch, Clock, Result
from visioncore_engine.data.draws import generator
from visioncore_engine.data.loader import PlanStep
from visioncore_engine.describe import group_to_plain
from visioncore_engine.errors import RunError
from visioncore_engine.non_finite import wrong_gradients, wrong_terms
from visioncore_engine.objective import predict
from visioncore_engine.options import OptimizerOptions
from visioncore_engine.pace import Pace
from visioncore_engine.reduction import (
    Agreement,
    Reduction,
    agree,
    sum_over_processes,
    union_over_processes,
    world_size,
)
from visioncore_engine.resume import leaves
from visioncore_engine.scoring import Scoring
from visioncore_engine.sinks import Sinks
from visioncore_engine.skips import Skips
from visioncore_engine.stopping import AgreeingTrainer

__all__ = ["TrainingModule"]


class TrainingModule(pl.LightningModule):
    """Runs the parts: forward, weighed backward, regularizers, clipping, step, proximal step, scheduler.

    Parameters
    ----------
    parts
        Everything that was built from the run file.
    description
        Plain values that every checkpoint carries beside its tensors: the resolved run and the record.
    """

    def __init__(self, parts: Parts, description: Mapping[str, Any]) -> None:
        super().__init__()
        self.automatic_optimization = False  # accumulation, clipping and order of the step are ours (law L8)
        self.parts = parts
        self.model = parts.model
        self.pace = Pace.planned(parts.total_steps)
        self._description = dict(description)
        self._trainable = {name: parameter for group in parts.groups for name, parameter in group.parameters.items()}
        self._base_rates = [group.lr for group in parts.groups]
        self._losses: list[float] = []
        self._tracked: dict[str, list[Tensor | float]] = {}
        self._loss: float | None = None
        self._auxiliary: dict[str, float] = {}  # this process's part of each extra term in the last step
        self._reduction: Reduction
        self.skips = Skips(parts.model, parts.optimizer, parts.run.policies)
        self.goes_on_from = "the start"  # where this process thinks that training goes on
        self.stop_requested: int | None = None  # the signal that asked this process to stop
        self.stop_agreed = False
        self.allow_zero_length_dataloader_with_multiple_devices = True  # a share of a small validation may be empty
        self._scoring = Scoring(parts.dataset.groups, parts.metrics, parts.objective)
        self.results: dict[str, Result] = {}
        self.scores: dict[str, float] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; one that is there and is given plain values is set without nn.Module's questions.

        Lightning names the current hook here, some twenty times in a step.
        """
        if name in self.__dict__ and not isinstance(value, (nn.Module, Tensor)):
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer; its rates are set by `training_step`, no scheduler is registered with Lightning."""
        return self.parts.optimizer

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a plan step or a validation batch."""
        # Loaders read on the CPU: there, only what is encoded has anything to become.
        move = Batch.decoded if device.type == "cpu" else methodcaller("to", device)
        if isinstance(batch, PlanStep):
            return replace(batch, micros=[move(micro) for micro in batch.micros])
        assert isinstance(batch, Batch)
        return move(batch)

    # -----------------------------------------------------------------------------------------------------------
    # Training

    def setup(self, stage: str) -> None:
        """Agree with the other processes before anything of theirs, parameters of other shapes say, meets ours."""
        data = {f"data of {group}": mark for group, mark in self.parts.dataset.fingerprints().items()}
        data |= {f"windows of {source.group.name}": str(source.num_items) for source in self.parts.index.sources}
        start = {"the checkpoint": self.goes_on_from}
        agree("what to train", {**dict(leaves(self._description["run"])), **data, **start})
        plugins = [*self._description["record"]["plugins"], self._description["record"]["engine"]]
        agree("the plugins", {plugin["name"]: {**plugin, "git": None} for plugin in plugins})  # not every host has git

    def on_fit_start(self) -> None:
        """Look at what every group uses, once the parameters are where they stay."""
        self._reduction = Reduction(self.model, self.parts.index, self.parts.objective)

    def clock(self) -> Clock:
        """Where training stands before the current step."""
        step = self.global_step
        return Clock(step, step / self.parts.steps_per_epoch, self.pace.at(step) / self.pace.total)

    def training_step(self, step: PlanStep, batch_idx: int) -> None:
        """One optimizer step over all micro-batches of the global batch, or none where a policy leaves it out."""
        self._seed_step(step)
        self.skips.begin()
        for parameter in self._trainable.values():  # `zero_grad` opens a profiler's range first
            parameter.grad = None
        alike = {"the step": step.position.global_step, "the last step": self.pace.end, **self.skips.counts()}
        weights = self._reduction.weights(step.weights, alike)
        if not any(weights.values()):
            raise RunError(f"run failed: step {self.global_step}: no valid value in the whole batch; check the sampler")
        loss, wrong = self._backward(step, weights)
        agreed = self._agree(step, loss, wrong)
        logs = (self.global_step + 1) % self.parts.run.trainer.log_every_n_steps == 0
        penalties: dict[str, Tensor] = {}
        norm: Tensor | None = None
        if agreed.non_finite:
            self._refuse(union_over_processes(wrong))
        else:
            self._loss = agreed.loss
            with torch.autocast(self.device.type, enabled=False):
                self.parts.regularization.add_gradients(self.clock())
                if logs:
                    penalties = self.parts.regularization.values(self.clock())
                norm = get_total_norm(_gradients(self._trainable.values()), foreach=True)
                if self._may_update(step, norm):
                    self._update(norm)
        self._count_step()
        if logs:
            self._log_training(norm, penalties)

    def _agree(self, step: PlanStep, loss: float | None, wrong: list[str]) -> Agreement:
        trainer = self.trainer
        assert isinstance(trainer, AgreeingTrainer)
        stop, end = self.stop_requested is not None, trainer.asks_to_stop
        agreed = self._reduction.gradients(step.groups, loss, non_finite=bool(wrong), stop=stop, end=end)
        self.stop_agreed = agreed.stop
        # Lightning validates before it stops, where a validation is due in this epoch: the last weights are scored too
        # where `max_steps` ends an epoch early.
        trainer.settle(agreed.end or self.global_step + 1 >= self.pace.end)
        return agreed

    def _may_update(self, step: PlanStep, norm: Tensor) -> bool:
        """Whether the gradients may move the weights: they are finite, and no callback objects."""
        # The sums that all processes hold are the same, so that all of them find the same here.
        if not math.isfinite(norm.item()):
            names = [self.parts.dataset.groups[group].name for group in step.groups]
            self._refuse(wrong_gradients(self._trainable, self.parts.regularization.values(self.clock()), names))
            return False
        for callback in vars(self.trainer)["callbacks"]:
            callback.on_before_optimizer_step(self.trainer, self, self.parts.optimizer)
        if self.skips.asked:
            self.skips.take_back()
        return not self.skips.asked

    def _refuse(self, reasons: list[str]) -> None:
        self.skips.refuse(self.global_step, reasons, say=self.trainer.is_global_zero)

    def track(self, name: str, value: Tensor | float) -> None:
        """Log a scalar of this step: its mean over the steps until the next row of training values."""
        self._tracked.setdefault(name, []).append(value.detach().reshape(()) if isinstance(value, Tensor) else value)

    @property
    def total_steps(self) -> int:
        """Optimizer steps that the run has in all, as it is planned now."""
        return self.pace.end

    def plan_end(self, total_steps: int) -> None:
        """Have the run end at another step, and its schedules with it; for hooks between steps, on all processes alike.

        Raises
        ------
        ValueError
            Where that step is past, or lies beyond the end that the run file gives.
        """
        self.pace = self.pace.ending(total_steps, self.global_step)

    def skip_step(self) -> None:
        """Leave the current step out; for `on_before_optimizer_step` of callbacks, on all processes alike."""
        self.skips.asked = True

    def roll_back(self) -> bool:
        """Leave the current step out and take the weights, buffers and optimizer state of the last checkpoint.

        For `on_before_optimizer_step` of callbacks, on all processes alike. The plan, the counters and the schedule go
        on from where they are, so that other data follow. False where no checkpoint was saved yet.

        Raises
        ------
        CheckpointError
            Where the file cannot be used.
        """
        checkpoint = self.skips.newest()
        if checkpoint is None:
            return False
        self.skips.roll_back(read_checkpoint(checkpoint))
        return True

    def _update(self, norm: Tensor) -> None:
        """Clip, step, and what belongs to a step."""
        options, clock = self.parts.run.optimizer.options, self.clock()
        assert isinstance(options, OptimizerOptions)
        if options.clip is not None:
            clip_grads_with_norm_(self._trainable.values(), options.clip, norm, foreach=True)
        rates = self._set_rates(clock)
        self.parts.optimizer.step()
        self.parts.regularization.proximal_steps(clock, rates)
        assert self._loss is not None
        self._losses.append(self._loss)

    def _seed_step(self, step: PlanStep) -> None:
        # Stock layers (nn.Dropout) draw from the global generator: keyed by the step, a resumed run draws the same.
        position = step.position
        key = generator(self.parts.run.seed, position.epoch, position.step, self.global_rank)
        seed = int(key.integers(2**63 - 1))
        # `torch.manual_seed` formats a stack trace for devices that are not there: longer than a small step.
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _backward(self, step: PlanStep, weights: Mapping[str, float]) -> tuple[float | None, list[str]]:
        """Loss of this process's share, and the terms in which it is not finite."""
        objective = self.parts.objective
        total: float | None = None
        wrong: list[str] = []
        objective.at(self.clock())
        self._auxiliary = dict.fromkeys(objective.extra_terms, 0.0)
        for micro in step.micros:
            if not micro.groups:
                continue
            batch = self._transformed(micro, step.position.epoch)
            sums = objective.sums(predict(self.model, batch), batch)
            loss = objective.total(sums, weights)
            if loss is None:
                continue
            value = loss.item()
            if not math.isfinite(value):
                wrong += wrong_terms(sums)
                continue
            for term, part in objective.auxiliary_part(sums, weights).items():
                self._auxiliary[term] += part
            if loss.requires_grad:  # not where all that these groups use is frozen
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            total = value + (total or 0.0)
        return total, wrong

    def _transformed(self, batch: Batch, epoch: int) -> Batch:
        for transform in self.parts.transforms:
            if self.training or not transform.training_only:
                batch = transform(batch, int(generator(self.parts.run.seed, epoch).integers(2**62)))
        return batch

    def _set_rates(self, clock: Clock) -> dict[str, float]:
        factor = self.parts.scheduler.factor(round(self.pace.at(clock.step))) if self.parts.scheduler else 1.0
        rates: dict[str, float] = {}
        for base, own, group in zip(
            self._base_rates, self.parts.groups, self.parts.optimizer.param_groups, strict=True
        ):
            group["lr"] = base * factor
            rates.update(dict.fromkeys(own.parameters, base * factor))
        return rates

    def _count_step(self) -> None:
        # The raw optimizer is stepped, so Lightning is told: max_steps and global_step depend on it.
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        progress.increment_ready()
        progress.increment_completed()

    def _log_training(self, norm: Tensor | None, penalties: Mapping[str, Tensor]) -> None:
        values = {"epoch": self.clock().epoch}
        if self._losses:
            values = {"train/loss": math.fsum(self._losses) / len(self._losses), **values}
        self._losses.clear()
        values |= {f"train/{name}": math.fsum(row) / len(row) for name, row in _numbers(self._tracked).items()}
        self._tracked.clear()
        if self.skips.num_skipped:
            values["train/skipped"] = self.skips.num_skipped
        if norm is not None:
            values["train/gradient_norm"] = float(norm)
        if self._auxiliary:
            parts = sum_over_processes(torch.tensor(list(self._auxiliary.values()), dtype=torch.float64)).tolist()
            values |= {f"train/{term}": part for term, part in zip(self._auxiliary, parts, strict=True)}
        values |= {f"train/penalty/{name}": float(value) for name, value in penalties.items()}
        values |= {
            f"rate/{own.name}": group["lr"]
            for own, group in zip(self.parts.groups, self.parts.optimizer.param_groups, strict=True)
        }
        self._log_values(values)

    def _log_values(self, values: Mapping[str, float]) -> None:
        for logger in self.trainer.loggers:
            logger.log_metrics(dict(values), self.global_step)

    def recent_loss(self) -> float | None:
        """Loss of the last step over all processes; None before the first."""
        return self._loss

    # -----------------------------------------------------------------------------------------------------------
    # Validation

    def on_validation_epoch_start(self) -> None:
        """Start from empty statistics."""
        self._scoring.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to every metric."""
        batch = self._transformed(batch, 0)
        self._scoring.update(predict(self.model, batch), batch)

    def on_validation_end(self) -> None:
        """Settle whether to end, after all callbacks had their say."""
        self._settle()

    def on_train_epoch_end(self) -> None:
        """Settle whether to end, after all callbacks had their say."""
        self._settle()

    def _settle(self) -> None:
        assert isinstance(self.trainer, AgreeingTrainer)
        self.trainer.settle()

    def on_validation_epoch_end(self) -> None:
        """Compute the scores once, from the statistics of everything."""
        self.results, loss = self._scoring.compute()
        self.scores = {"val/loss": loss} | {f"val/{term}": part for term, part in self._scoring.auxiliary().items()}
        for result in self.results.values():
            self.scores |= {f"val/{name}": value for name, value in result.scalars.items()}
        # Through Lightning once per validation: stock callbacks (early stopping) read `callback_metrics`.
        self.log_dict(self.scores, logger=False)
        self._log_values(self.scores)
        if self.parts.scheduler:
            self.parts.scheduler.observe(self.scores)

    # -----------------------------------------------------------------------------------------------------------
    # Checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what makes the file complete by itself."""
        checkpoint["visioncore"] = {
            "format": FORMAT,
            **self._description,
            "groups": [group_to_plain(group) for group in self.parts.dataset.groups],
            "fingerprints": dict(self.parts.dataset.fingerprints()),
            "data_state": self.parts.dataset.state(),
            "history": self.parts.history,
            "scheduler": self.parts.scheduler.state() if self.parts.scheduler else {},
            "scores": dict(self.scores),
            "pace": self.pace.state(),
            "losses": list(self._losses),
            "tracked": _numbers(self._tracked),
            "skipped": self.skips.state(),
            "loggers": self._logger_state(),
            "torch_threads": torch.get_num_threads(),
            "num_processes": world_size(),
        }

    def _logger_state(self) -> dict[str, str | None]:
        sinks = self.trainer.logger
        return sinks.state() if isinstance(sinks, Sinks) else {}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take back what Lightning does not know of."""
        own = checkpoint["visioncore"]
        self.scores = dict(own["scores"])
        self._losses = list(own["losses"])
        self._tracked = {name: list(row) for name, row in own.get("tracked", {}).items()}
        self.skips.restore(own["skipped"])
        self.pace = Pace.restored(own.get("pace"), self.parts.total_steps)
        if checkpoint["global_step"] >= self.pace.end:  # Lightning knows the planned end only
            assert isinstance(self.trainer, AgreeingTrainer)
            self.trainer.settle(asked_anywhere=True)
        if self.parts.scheduler:
            self.parts.scheduler.restore(own["scheduler"])


# Lightning asks for the arguments of this method in every step: told, it need not look into the code each time.
TrainingModule.training_step.__signature__ = inspect.signature(TrainingModule.training_step)  # type: ignore[attr-defined]  # functions take it


def _numbers(tracked: Mapping[str, Sequence[Tensor | float]]) -> dict[str, list[float]]:
    """Tracked values as numbers; tensors of one name are read together."""
    return {name: _read(row) for name, row in tracked.items()}


def _read(row: Sequence[Tensor | float]) -> list[float]:
    tensors = [value for value in row if isinstance(value, Tensor)]
    if len(tensors) < len(row):
        return [float(value) for value in row]
    numbers: list[float] = torch.stack(tensors).tolist()
    return numbers


def _gradients(parameters: Iterable[nn.Parameter]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]
