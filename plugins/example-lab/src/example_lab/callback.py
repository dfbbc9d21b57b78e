"""The callback `scoreboard`."""

from __future__ import annotations

import csv
import math
from typing import Any

import pytorch_lightning as pl

from example_lab.options import ScoreboardOptions
from visioncore_engine.contracts import CallbackFacts

__all__ = ["Scoreboard"]


class Scoreboard(pl.Callback):
    """One row for each validation: the step, the monitored value, and the best so far.

    The rows travel in the checkpoint and the file is written from them, so that a resumed run leaves the same file as
    an unbroken one.

    Parameters
    ----------
    options
        What the run file says.
    facts
        The run folder, and what `checkpoint` monitors.
    """

    def __init__(self, options: ScoreboardOptions, facts: CallbackFacts) -> None:
        self._path = facts.run_dir / options.file
        self._monitor = facts.monitor
        self._larger_is_better = facts.mode == "max"
        self._rows: list[tuple[int, float]] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add a row and write the file."""
        if trainer.sanity_checking or self._monitor not in trainer.callback_metrics:
            return
        self._rows.append((trainer.global_step, float(trainer.callback_metrics[self._monitor])))
        if trainer.is_global_zero:
            self._write()

    def state_dict(self) -> dict[str, Any]:
        """Plain values: a checkpoint holds nothing else beside tensors."""
        return {"rows": list(self._rows)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the rows of a checkpoint."""
        self._rows = [(step, value) for step, value in state_dict["rows"]]

    def _write(self) -> None:
        best = math.nan  # a validation in which nothing could be scored is NaN, and never the best
        with self._path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["step", "value", "best"])
            for step, value in self._rows:
                if math.isnan(best) or (value > best if self._larger_is_better else value < best):
                    best = value
                writer.writerow([step, value, best])
