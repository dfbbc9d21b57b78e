"""A table after each validation, for logs that a person reads later."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

from visioncore_common.options.callback import EpochSummaryOptions
from visioncore_engine.contracts import CallbackFacts

__all__ = ["EpochSummary"]

_log = logging.getLogger(__name__)


class EpochSummary(pl.Callback):
    """Writes the scores of each validation to Python's log, at level INFO, with the change since the one before."""

    def __init__(self, options: EpochSummaryOptions, facts: CallbackFacts) -> None:
        self._patterns, self._monitor = options.scores, facts.monitor
        self._last: dict[str, float] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the table."""
        del pl_module
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        scores = {name: float(value) for name, value in trainer.callback_metrics.items() if self._wanted(name)}
        if trainer.is_global_zero:
            _log.info("epoch %d, step %d\n%s", trainer.current_epoch, trainer.global_step, self._table(scores))
        self._last |= scores

    def _wanted(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self._patterns)

    def _table(self, scores: Mapping[str, float]) -> str:
        width = max(map(len, scores), default=0)
        rows = []
        for name, value in scores.items():
            change = f"  {value - self._last[name]:+12.5g}" if name in self._last else ""
            rows.append(f"  {name:{width}}  {value:12.5g}{change}{'  (monitored)' if name == self._monitor else ''}")
        return "\n".join(rows) or f"  no score matches {', '.join(self._patterns)}"

    def state_dict(self) -> dict[str, Any]:
        """Scores of the last validation."""
        return dict(self._last)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take back a state."""
        self._last = dict(state_dict)
