"""Ending in time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

from visioncore_common.options.callback import TimeBudgetOptions
from visioncore_engine.contracts import CallbackFacts

__all__ = ["TimeBudget"]

_log = logging.getLogger(__name__)


class TimeBudget(pl.Callback):
    """Ends training, at the end of a step, before another step and a validation would take longer than the budget.

    All that passes between the first step and the last counts: waiting for data, steps, validations, other callbacks. A
    resumed run goes on with what is left. Any process may find that time is up; all of them end at the same step. The
    schedules of the run, of learning rates or others, stay those of its planned length.

    Parameters
    ----------
    options, facts
        What the run file says, and the run.
    clock
        Seconds; for tests.
    """

    def __init__(
        self, options: TimeBudgetOptions, facts: CallbackFacts, clock: Callable[[], float] = time.monotonic
    ) -> None:
        del facts  # when to end is not a matter of steps
        self._budget, self._clock = 60.0 * options.minutes, clock
        self._spent = 0.0  # until `_since`
        self._since = self._step_began = self._validation_began = clock()
        self._step = self._validation = 0.0  # seconds of the longest step, and of the last validation
        self._running = self._said = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        del trainer, pl_module
        self._since = self._clock()
        self._step_began, self._running = self._since, True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look whether there is time for another step."""
        del pl_module, outputs, batch, batch_idx
        now = self._clock()
        self._step = max(self._step, now - self._step_began)
        self._step_began = now
        needed = self._seconds() + self._step + self._validation
        if needed < self._budget:
            return
        trainer.should_stop = True
        if trainer.is_global_zero and not self._said:
            _log.warning(
                "time is up at step %d: %.1f of %.1f minutes, and another step and validation take %.1f",
                trainer.global_step,
                self._seconds() / 60,
                self._budget / 60,
                (self._step + self._validation) / 60,
            )
        self._said = True

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to measure a validation."""
        del trainer, pl_module
        self._validation_began = self._clock()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure a validation; it is no part of the next step."""
        del pl_module
        if trainer.state.fn == TrainerFn.FITTING:
            self._step_began = self._clock()
            self._validation = self._step_began - self._validation_began

    def _seconds(self) -> float:
        """Seconds spent in all."""
        return self._spent + (self._clock() - self._since if self._running else 0.0)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock."""
        del trainer, pl_module
        self._spent, self._running = self._seconds(), False

    def state_dict(self) -> dict[str, Any]:
        """Seconds spent."""
        return {"seconds": self._seconds()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on with what is left."""
        self._spent, self._since = float(state_dict["seconds"]), self._clock()
