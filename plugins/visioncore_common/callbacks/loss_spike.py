"""Losses that jump."""

from __future__ import annotations

import logging
import statistics
from collections import deque
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch

from visioncore_common.options.callback import LossSpikeOptions
from visioncore_engine.contracts import CallbackFacts, Training
from visioncore_engine.errors import RunError

__all__ = ["LossSpike"]

_log = logging.getLogger(__name__)
_FLOOR = 1e-3  # of the mean: where losses hardly differ, a hair is no spike


class LossSpike(pl.Callback):
    """Compares the loss of each step, before it changes a weight, with the mean of those before.

    A spike is a loss more than `threshold` standard deviations above the mean of the last `window` losses; the standard
    deviation counts as at least a thousandth of the mean. The loss is that of the global batch, which all processes
    hold, so that all of them find and do the same. A loss that is not finite is `policies.non_finite`'s.

    `rollback` takes weights, buffers and optimizer state of the last checkpoint; the plan goes on, so that the batches
    that led to the spike are not seen again, and so do schedules and counters. The window starts anew.
    """

    def __init__(self, options: LossSpikeOptions, facts: CallbackFacts) -> None:
        self._options = options
        del facts  # the engine knows the last checkpoint
        self._losses: deque[float] = deque(maxlen=options.window)
        self._num_spikes = 0

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Look at the loss of this step.

        Raises
        ------
        RunError
            On all processes, where more spikes were left out than the option `limit` allows.
        """
        assert isinstance(pl_module, Training)
        loss = pl_module.recent_loss()
        assert loss is not None
        height = self._height(loss)
        if height > self._options.threshold:
            what = f"step {trainer.global_step}: the loss {loss:.4g} is {height:.1f} standard deviations above the last"
            self._act(pl_module, f"{what} {self._options.window}", say=trainer.is_global_zero)
        if height <= self._options.threshold or self._options.action == "warn":
            self._losses.append(loss)

    def _height(self, loss: float) -> float:
        """Standard deviations above the mean; 0 until the window is full."""
        if len(self._losses) < self._options.window:
            return 0.0
        mean = statistics.fmean(self._losses)
        spread = max(statistics.pstdev(self._losses, mean), _FLOOR * abs(mean))
        return (loss - mean) / spread if spread > 0 else 0.0

    def _act(self, module: Training, what: str, *, say: bool) -> None:
        self._num_spikes += 1
        if self._options.action == "warn":
            done = ""
        elif self._num_spikes > self._options.limit:
            raise RunError(
                f"run failed: {what}; {self._num_spikes - 1} spikes were left out before (callbacks.loss_spike.limit). "
                "Lower `optimizer.lr`, set `optimizer.clip`, or look at these data"
            )
        elif self._options.action == "rollback" and module.roll_back():
            self._losses.clear()
            done = ": left out, going on from the last checkpoint"
        else:
            module.skip_step()
            done = ": left out"
        if say:
            _log.warning("%s%s", what, done)

    def state_dict(self) -> dict[str, Any]:
        """Losses of the window, and spikes so far."""
        return {"losses": list(self._losses), "num_spikes": self._num_spikes}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take back a state."""
        self._losses = deque(state_dict["losses"], maxlen=self._options.window)
        self._num_spikes = int(state_dict["num_spikes"])
