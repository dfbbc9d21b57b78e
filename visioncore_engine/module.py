"""One LightningModule around the parts: a training batch is a plan step, and a plan step is one optimizer step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from visioncore_engine.build import Parts
from visioncore_engine.checkpoint import FORMAT
from visioncore_engine.contracts import Batch, Clock, Result
from visioncore_engine.data.draws import generator
from visioncore_engine.data.loader import PlanStep
from visioncore_engine.describe import group_to_plain
from visioncore_engine.errors import RunError
from visioncore_engine.objective import predict
from visioncore_engine.options import OptimizerOptions
from visioncore_engine.reduction import Reduction, agree
from visioncore_engine.scoring import Scoring

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
        self._description = dict(description)
        self._names = {parameter: name for name, parameter in parts.model.named_parameters()}
        self._trainable = [parameter for group in parts.groups for parameter in group.parameters.values()]
        self._base_rates = [group.lr for group in parts.groups]
        self._losses: list[float] = []
        self._reduction: Reduction
        self.stop_requested: int | None = None  # the signal that asked this process to stop
        self.stop_agreed = False
        self.allow_zero_length_dataloader_with_multiple_devices = True  # a share of a small validation may be empty
        self._scoring = Scoring(parts.dataset.groups, parts.metrics, parts.objective)
        self.results: dict[str, Result] = {}
        self.scores: dict[str, float] = {}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer; its rates are set by `training_step`, no scheduler is registered with Lightning."""
        return self.parts.optimizer

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a plan step or a validation batch."""
        if isinstance(batch, PlanStep):
            return replace(batch, micros=[micro.to(device) for micro in batch.micros])
        assert isinstance(batch, Batch)
        return batch.to(device)

    # -----------------------------------------------------------------------------------------------------------
    # Training

    def on_fit_start(self) -> None:
        """Agree with the other processes before the first step."""
        agree("what to train", {"run": self._description["run"], "data": dict(self.parts.dataset.fingerprints())})
        agree("the plugins", {plugin["name"]: plugin for plugin in self._description["record"]["plugins"]})
        self._reduction = Reduction(self.model, self.parts.index, self.parts.objective)

    def clock(self) -> Clock:
        """Where training stands before the current step."""
        step = self.global_step
        return Clock(step, step / self.parts.steps_per_epoch, step / self.parts.total_steps)

    def training_step(self, step: PlanStep, batch_idx: int) -> None:
        """One optimizer step over all micro-batches of the global batch."""
        parts, optimizer = self.parts, self.parts.optimizer
        self._seed_step(step)
        optimizer.zero_grad(set_to_none=True)
        weights = self._reduction.weights(parts.objective.weights(step.micros))
        if not any(weights.values()):
            raise RunError(f"run failed: step {self.global_step}: no valid value in the whole batch; check the sampler")
        loss, wrong = self._backward(step, weights)
        agreed = self._reduction.gradients(
            step.groups, loss, non_finite=bool(wrong), stop=self.stop_requested is not None
        )
        if agreed.non_finite:
            self._stop_on_non_finite(wrong)
        self.stop_agreed = agreed.stop
        clock = self.clock()
        with torch.autocast(self.device.type, enabled=False):
            penalties = parts.regularization.add_gradients(clock)
            norm = self._clip()
            rates = self._set_rates(clock)
            optimizer.step()
            parts.regularization.proximal_steps(clock, rates)
        self._count_step()
        self._losses.append(agreed.loss)
        if self.global_step % parts.run.trainer.log_every_n_steps == 0:
            self._log_training(norm, penalties)

    def _seed_step(self, step: PlanStep) -> None:
        # Stock layers (nn.Dropout) draw from the global generator: keyed by the step, a resumed run draws the same.
        position = step.position
        key = generator(self.parts.run.seed, position.epoch, position.step, self.global_rank)
        torch.manual_seed(int(key.integers(2**63 - 1)))

    def _backward(self, step: PlanStep, weights: Mapping[str, float]) -> tuple[Tensor | None, list[str]]:
        """Loss of this process's share, and the terms in which it is not finite."""
        objective = self.parts.objective
        total: Tensor | None = None
        wrong: list[str] = []
        for micro in step.micros:
            if not micro.groups:
                continue
            batch = self._transformed(micro, step.position.epoch)
            sums = objective.sums(predict(self.model, batch), batch)
            loss = objective.total(sums, weights)
            if loss is None:
                continue
            if not math.isfinite(loss.item()):
                wrong += [
                    f"term {term!r} of {group!r}" for (group, term), value in sums.items() if not value.isfinite()
                ]
                continue
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            total = loss.detach() if total is None else total + loss.detach()
        return total, wrong

    def _transformed(self, batch: Batch, epoch: int) -> Batch:
        for transform in self.parts.transforms:
            if self.training or not transform.training_only:
                batch = transform(batch, int(generator(self.parts.run.seed, epoch).integers(2**62)))
        return batch

    def _stop_on_non_finite(self, wrong: list[str]) -> None:
        raise RunError(
            f"run failed: step {self.global_step}: the loss is not finite in {', '.join(wrong) or 'another process'}; "
            "the last checkpoint is finite. Lower `optimizer.lr`, set `optimizer.clip`, or look at these data"
        )

    def _clip(self) -> Tensor | None:
        options = self.parts.run.optimizer.options
        assert isinstance(options, OptimizerOptions)
        if options.clip is None:
            return None
        norm = torch.nn.utils.clip_grad_norm_(self._trainable, options.clip, foreach=True)
        if not math.isfinite(norm.item()):
            raise RunError(f"run failed: step {self.global_step}: the gradient is not finite though the loss is")
        return norm

    def _set_rates(self, clock: Clock) -> dict[str, float]:
        factor = self.parts.scheduler.factor(clock.step) if self.parts.scheduler else 1.0
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
        values = {"train/loss": math.fsum(self._losses) / len(self._losses), "epoch": self.clock().epoch}
        self._losses.clear()
        if norm is not None:
            values["train/gradient_norm"] = float(norm)
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
        """Loss of the last step, for displays."""
        return self._losses[-1] if self._losses else None

    # -----------------------------------------------------------------------------------------------------------
    # Validation

    def on_validation_epoch_start(self) -> None:
        """Start from empty statistics."""
        self._scoring.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to every metric."""
        batch = self._transformed(batch, 0)
        self._scoring.update(predict(self.model, batch), batch)

    def on_validation_epoch_end(self) -> None:
        """Compute the scores once, from the statistics of everything."""
        self.results, loss = self._scoring.compute()
        self.scores = {"val/loss": loss}
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
            "losses": list(self._losses),
            "loggers": {
                choice.id: getattr(logger, "resume_id", None)
                for choice, logger in zip(self.parts.run.loggers, self.trainer.loggers, strict=False)  # rank 0 logs
            },
            "torch_threads": torch.get_num_threads(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take back what Lightning does not know of."""
        own = checkpoint["visioncore"]
        self.scores = dict(own["scores"])
        self._losses = list(own["losses"])
        if self.parts.scheduler:
            self.parts.scheduler.restore(own["scheduler"])
