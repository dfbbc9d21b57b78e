"""Stopping when nothing improves."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

from visioncore_common.options.callback import EarlyStoppingOptions
from visioncore_common.patience import Patience, monitored
from visioncore_engine.contracts import CallbackFacts

__all__ = ["EarlyStopping"]

_log = logging.getLogger(__name__)


class EarlyStopping(pl.Callback):
    """Ends training once the monitored score has not improved for `patience` validations in a row.

    Every process sees the same scores, so that all stop together without asking each other. A score that is NaN is no
    improvement.
    """

    def __init__(self, options: EarlyStoppingOptions, facts: CallbackFacts) -> None:
        self._monitor = options.monitor or facts.monitor
        self._mode = options.mode or facts.mode
        self._limit = options.patience
        self._patience = Patience(self._mode, options.min_delta)

    @property
    def state_key(self) -> str:
        """Tells apart two of the same class in a checkpoint."""
        return f"early_stopping:{self._monitor}:{self._mode}"

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the score of a validation.

        Raises
        ------
        ConfigError
            Where the monitored value was not logged.
        """
        del pl_module
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
        waited = self._patience.observe(monitored(scores, self._monitor, "callbacks.early_stopping.monitor"))
        if waited > self._limit:
            trainer.should_stop = True
            _log.warning(
                "stopped early at step %d: %s has been no better than %s for %d validations",
                trainer.global_step,
                self._monitor,
                self._patience.best,
                waited,
            )

    def state_dict(self) -> dict[str, Any]:
        """Best score and validations since."""
        return self._patience.state()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take back a state."""
        self._patience.restore(state_dict)
