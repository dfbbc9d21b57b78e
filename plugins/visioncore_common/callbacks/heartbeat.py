"""A line now and then, for logs that a person reads later."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

from visioncore_common.options.callback import HeartbeatOptions
from visioncore_engine.contracts import Batch, CallbackFacts, Training

__all__ = ["Heartbeat"]

_log = logging.getLogger(__name__)


@runtime_checkable
class _TellsLoss(Protocol):
    def recent_loss(self) -> float | None: ...


@runtime_checkable
class _PlanStep(Protocol):
    micros: list[Batch]


class Heartbeat(pl.Callback):
    """Writes ``step 400/2000  loss 0.8312  5120 predictions/s  val/accuracy 0.7150``.

    The rate counts predicted frames (or examples) of this process over the time spent in training, waiting for data
    included and validation excluded.

    Parameters
    ----------
    options, facts
        What the run file says, and the run.
    clock
        Seconds; for tests.
    """

    def __init__(
        self, options: HeartbeatOptions, facts: CallbackFacts, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._options, self._facts, self._clock = options, facts, clock
        self._since, self._seconds, self._predictions = clock(), 0.0, 0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        del trainer, pl_module
        self._since = self._clock()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count predictions, and write a line where one is due."""
        del outputs, batch_idx
        now = self._clock()
        self._seconds, self._since = self._seconds + now - self._since, now
        self._predictions += _num_predictions(batch)
        if self._options.every is not None and trainer.global_step % self._options.every == 0:
            self._beat(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write a line with the new score, and go on with the clock."""
        if self._options.epochs and not trainer.sanity_checking and trainer.state.fn == TrainerFn.FITTING:
            self._beat(trainer, pl_module)
        self._since = self._clock()

    def _beat(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        rate = self._predictions / self._seconds if self._seconds > 0 else float("nan")
        self._seconds, self._predictions = 0.0, 0
        planned = pl_module.total_steps if isinstance(pl_module, Training) else self._facts.total_steps
        total = f"/{planned}" if planned is not None else ""
        words = [f"step {trainer.global_step}{total}"]
        loss = pl_module.recent_loss() if isinstance(pl_module, _TellsLoss) else None
        if loss is not None:
            words.append(f"loss {loss:.4f}")
        words.append(f"{rate:.0f} predictions/s")
        score = trainer.callback_metrics.get(self._facts.monitor)
        if score is not None:
            words.append(f"{self._facts.monitor} {float(score):.4f}")
        if trainer.is_global_zero:
            self._write("  ".join(words))

    def _write(self, line: str) -> None:
        if self._options.stream == "log":
            _log.info("%s", line)
            return
        stream = sys.stdout if self._options.stream == "stdout" else sys.stderr
        stream.write(line + "\n")
        stream.flush()


def _num_predictions(batch: Any) -> int:
    """Predicted frames (or examples) of a plan step or batch."""
    if isinstance(batch, _PlanStep):
        return sum(_num_predictions(micro) for micro in batch.micros)
    if not isinstance(batch, Batch):
        return 0
    return sum(len(group.items) * (group.mask.shape[1] if group.mask.ndim > 1 else 1) for group in batch.groups)
