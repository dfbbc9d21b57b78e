"""Where the time goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

from visioncore_engine.contracts import CallbackFacts, Training
from visioncore_engine.options import Options

__all__ = ["Timings"]


class Timings(pl.Callback):
    """Logs ``train/seconds/data``, ``train/seconds/step`` and ``train/seconds/validation``.

    Data is what a step waited for its batch, from the end of the step before, validations left out. A value is the mean
    over the steps until the next row of training values, as any that is tracked; a validation stands in the row after
    it.

    Parameters
    ----------
    options, facts
        What the run file says, and the run.
    clock
        Seconds; for tests.
    """

    def __init__(self, options: Options, facts: CallbackFacts, clock: Callable[[], float] = time.perf_counter) -> None:
        del options, facts  # nothing to choose
        self._clock = clock
        self._free = self._began = clock()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What passed between two epochs is no wait for data."""
        del trainer, pl_module
        self._free = self._clock()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The batch is there."""
        del trainer, batch, batch_idx
        self._began = self._clock()
        _track(pl_module, "data", self._began - self._free)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The step is done."""
        del trainer, outputs, batch, batch_idx
        self._free = self._clock()
        _track(pl_module, "step", self._free - self._began)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to measure a validation."""
        del trainer, pl_module
        self._began = self._clock()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The validation is done."""
        self._free = self._clock()
        if trainer.state.fn == TrainerFn.FITTING:
            _track(pl_module, "validation", self._free - self._began)


def _track(module: pl.LightningModule, name: str, seconds: float) -> None:
    assert isinstance(module, Training)
    module.track(f"seconds/{name}", seconds)
