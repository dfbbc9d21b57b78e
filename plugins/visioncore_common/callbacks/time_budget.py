"""Ending in time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn

from visioncore_common.options.callback import TimeBudgetOptions
from visioncore_engine.contracts import CallbackFacts, Training

__all__ = ["TimeBudget"]

MARGIN = 0.98  # of the steps that fit; what was measured was measured of the past
SOONER, LATER = 0.01, 0.05  # of the steps that are left: by so many the end is let be; the margin covers both

_log = logging.getLogger(__name__)


class TimeBudget(pl.Callback):
    """Ends training, at the end of a step, before another step and a validation would take longer than the budget.

    All that passes between the first step and the last counts: waiting for data, steps, validations, other callbacks. A
    resumed run goes on with what is left. Any process may find that time is up; all of them end at the same step.

    The schedules of the run, of learning rates or others, stay those of its planned length, unless `shorten` is set.
    Then, after each validation, the steps that fit are counted from the mean step since the last one (the first of a
    process, which compiles, left out) and the last validation; the fewest that any process counts are the end of the
    run, and what is left of its schedules is passed through in them (`contracts.Training.plan_end`).

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
        self._budget, self._clock = 60.0 * options.minutes, clock
        self._shorten, self._planned, self._epoch = options.shorten, facts.total_steps, facts.steps_per_epoch
        self._took, self._num_steps = 0.0, -1  # since the last validation, without the first step of a process
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
        self._took += now - self._step_began if self._num_steps >= 0 else 0.0
        self._num_steps += 1
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
        if trainer.state.fn != TrainerFn.FITTING:
            return
        self._step_began = self._clock()
        self._validation = self._step_began - self._validation_began
        if self._shorten:
            assert isinstance(pl_module, Training)
            self._move_end(trainer, pl_module)
        self._took, self._num_steps = 0.0, 0

    def _move_end(self, trainer: pl.Trainer, module: Training) -> None:
        """Plan the end for the last step that fits, on all processes alike."""
        step, now = trainer.global_step, module.total_steps
        if step >= now:
            return
        planned = now if self._planned is None else self._planned
        own = min(step + self._num_that_fit(trainer), planned)
        end = max(int(trainer.strategy.reduce(torch.tensor(own), reduce_op="min")), step + 1)
        if end == now or (end < planned and -SOONER * (now - step) <= end - now <= LATER * (now - step)):
            return
        module.plan_end(end)
        if trainer.is_global_zero:
            _log.warning(
                "at step %d: the run is now planned for %d steps instead of %d, and its schedules end with them; "
                "planned were %d, and %.1f of %.1f minutes are spent",
                step,
                end,
                now,
                planned,
                self._seconds() / 60,
                self._budget / 60,
            )

    def _num_that_fit(self, trainer: pl.Trainer) -> int:
        """Steps until time is up, with the validations between them; a lot where none was measured yet."""
        if self._num_steps <= 0:
            return 2**31
        every = self._epoch * (trainer.check_val_every_n_epoch or 1)
        one = self._took / self._num_steps + self._validation / every
        left = self._budget - self._seconds() - self._step - self._validation
        return max(0, min(int(MARGIN * left / one), 2**31)) if one > 0 else 2**31

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
