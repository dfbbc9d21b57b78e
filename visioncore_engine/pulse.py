"""Signs of life of a training, from the hooks that Lightning calls."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from visioncore_engine.watchdog import SETUP_ALLOWANCE, Watchdog

__all__ = ["Pulse"]


class Pulse(pl.Callback):
    """Tells the watchdog what begins: each step, each validation batch, each checkpoint.

    Parameters
    ----------
    watchdog
        The watchdog of this process.
    """

    def __init__(self, watchdog: Watchdog) -> None:
        self._watchdog = watchdog
        self._has_stepped = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """The processes have found each other."""
        self._watchdog.beat("set-up", allowance=SETUP_ALLOWANCE)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """A step begins; the first may compile kernels."""
        allowance = 1.0 if self._has_stepped else SETUP_ALLOWANCE
        self._watchdog.beat("training", trainer.global_step, allowance)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A step is done; reading the next one begins."""
        self._has_stepped = True
        self._watchdog.beat("what follows", trainer.global_step - 1)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A validation begins."""
        self._watchdog.beat("validation", trainer.global_step)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """A batch is read."""
        self._watchdog.beat()

    def on_validation_batch_end(  # noqa: PLR0917 - Lightning's signature
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """A batch is scored."""
        self._watchdog.beat()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A validation is done; what callbacks make of it begins."""
        self._watchdog.beat("what follows a validation", trainer.global_step)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """A checkpoint is written."""
        self._watchdog.beat("writing a checkpoint", trainer.global_step)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """An epoch is done."""
        self._watchdog.beat("the end of an epoch", trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The last step is done."""
        self._watchdog.beat("the end of training", trainer.global_step)
