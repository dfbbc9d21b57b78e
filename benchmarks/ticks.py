"""Callbacks that look at the clock: what they saw stays in this module, for the benchmark that started the run."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl

from visioncore_engine.contracts import CallbackFacts

__all__ = ["SCORES", "STEPS", "WAITS", "Deadline", "Ticks"]

STEPS: list[tuple[float, float]] = []
"""CPU-seconds of the process and wall-clock seconds at which each step of the last run began."""

WAITS: list[float] = []
"""Wall-clock seconds between the end of each step of the last run and the beginning of the next."""

SCORES: list[tuple[float, float]] = []
"""Of the last run: wall-clock seconds since training began, and score, of each validation."""


class Ticks(pl.Callback):
    """Notes when each step begins, and how long it waited."""

    def __init__(self, options: object = None, facts: CallbackFacts | None = None) -> None:
        STEPS.clear()
        WAITS.clear()
        self._free: float | None = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note it."""
        now = time.perf_counter()
        STEPS.append((time.process_time(), now))
        if self._free is not None:
            WAITS.append(now - self._free)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Begin to wait for the next."""
        self._free = time.perf_counter()


class Deadline(pl.Callback):
    """Notes each validation's score, and ends the run at the one that is enough; the more the better."""

    def __init__(self, options: Any, facts: CallbackFacts) -> None:
        SCORES.clear()
        self._target, self._monitor = options.target, facts.monitor
        self._start = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the score."""
        score = float(trainer.callback_metrics[self._monitor])
        SCORES.append((time.perf_counter() - self._start, score))
        if score >= self._target:
            trainer.should_stop = True
