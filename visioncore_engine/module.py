"""One LightningModule around the parts: a training batch is a plan step, and a plan step is one optimizer step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from visioncore_engine.build import Parts
from visioncore_engine.checkpoint import FORMAT, read_checkpoint
from visioncore_engine.contracts import Batch, Clock, Result
from visioncore_engine.data.loader import PlanStep
from visioncore_engine.describe import group_to_plain
from visioncore_engine.objective import predict
from visioncore_engine.pace import Pace
from visioncore_engine.reduction import agree, sum_over_processes, world_size
from visioncore_engine.resume import leaves
from visioncore_engine.row import Row
from visioncore_engine.scoring import Scoring
from visioncore_engine.sinks import Sinks
from visioncore_engine.step import OptimizerStep
from visioncore_engine.stopping import AgreeingTrainer

__all__ = ["TrainingModule"]


class TrainingModule(pl.LightningModule):
    """Puts the parts where Lightning calls them: steps, validations, and what a checkpoint holds.

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
        self._step = OptimizerStep(parts)
        self._row = Row()
        self._asked: list[Callable[..., None]] = []  # hooks that may object to a step
        self.skips = self._step.skips
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
            batch.micros = [move(micro) for micro in batch.micros]
            return batch
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
        """Look at what every group uses, once the parameters are where they stay, and at who wants to be asked."""
        self._step.settle(self.device, self.global_rank)
        self._asked = [
            callback.on_before_optimizer_step
            for callback in vars(self.trainer)["callbacks"]
            if not _is_stock(callback.on_before_optimizer_step)
        ]

    def clock(self) -> Clock:
        """Where training stands before the current step."""
        step = self.global_step
        return Clock(step, step / self.parts.steps_per_epoch, self.pace.at(step) / self.pace.total)

    def training_step(self, step: PlanStep, batch_idx: int) -> None:
        """One optimizer step over all micro-batches of the global batch, or none where a policy leaves it out."""
        trainer, clock = self.trainer, self.clock()
        assert isinstance(trainer, AgreeingTrainer)
        logs = (clock.step + 1) % self.parts.run.trainer.log_every_n_steps == 0
        stop, end = self.stop_requested is not None, trainer.asks_to_stop
        agreed = self._step.gradients(step, clock, self.pace, stop=stop, end=end)
        self.stop_agreed = agreed.stop
        # Lightning validates before it stops, where a validation is due in this epoch: the last weights are scored too
        # where `max_steps` ends an epoch early.
        trainer.settle(agreed.end or clock.step + 1 >= self.pace.end)
        say = trainer.is_global_zero
        if self._step.update(step, clock, self.pace, agreed, ask=self._ask_callbacks, say=say, valued=logs):
            self._row.add(agreed.loss)
        # The raw optimizer is stepped, so Lightning is told: max_steps and global_step depend on it.
        progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        progress.increment_ready()
        progress.increment_completed()
        if logs:
            self._log_training()

    def _ask_callbacks(self) -> None:
        for ask in self._asked:
            ask(self.trainer, self, self.parts.optimizer)

    def track(self, name: str, value: Tensor | float) -> None:
        """Log a scalar of this step: its mean over the steps until the next row of training values."""
        self._row.track(name, value)

    def log_pictures(self, pictures: Mapping[str, Path], step: int) -> None:
        """Hand PNG files to the loggers that take pictures."""
        if isinstance(sinks := self.trainer.logger, Sinks):
            sinks.log_pictures(pictures, step)

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

    def _log_training(self) -> None:
        step = self._step
        loss, tracked = self._row.take()
        values = {**loss, "epoch": self.clock().epoch, **tracked}
        if self.skips.num_skipped:
            values["train/skipped"] = self.skips.num_skipped
        if step.norm is not None:
            values["train/gradient_norm"] = float(step.norm)
        if step.auxiliary:
            parts = sum_over_processes(torch.tensor(list(step.auxiliary.values()), dtype=torch.float64)).tolist()
            values |= {f"train/{term}": part for term, part in zip(step.auxiliary, parts, strict=True)}
        values |= {f"train/penalty/{name}": float(value) for name, value in step.penalties.items()}
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
        return self._step.loss

    # -----------------------------------------------------------------------------------------------------------
    # Validation

    def on_validation_epoch_start(self) -> None:
        """Start from empty statistics."""
        self._scoring.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to every metric."""
        self._step.begin_pass()
        batch = self.parts.transformed(batch, 0, training=False)
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
            **self._row.state(),
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
        self._row.restore(own)
        self.skips.restore(own["skipped"])
        self.pace = Pace.restored(own.get("pace"), self.parts.total_steps)
        if checkpoint["global_step"] >= self.pace.end:  # Lightning knows the planned end only
            assert isinstance(self.trainer, AgreeingTrainer)
            self.trainer.settle(asked_anywhere=True)
        if self.parts.scheduler:
            self.parts.scheduler.restore(own["scheduler"])


# Lightning looks for the arguments of this method in every step: the fewer, the sooner it knows.
_ANY = inspect.Signature([inspect.Parameter("arguments", inspect.Parameter.VAR_POSITIONAL)])
TrainingModule.training_step.__signature__ = _ANY  # type: ignore[attr-defined]  # functions take it


def _is_stock(hook: Callable[..., None]) -> bool:
    return getattr(hook, "__func__", None) is pl.Callback.on_before_optimizer_step
