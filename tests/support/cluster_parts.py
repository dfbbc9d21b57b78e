"""A callback that waits, so that a test knows in which step something happens."""

from __future__ import annotations

import os
import time

import pytorch_lightning as pl

LIMIT = 120.0


class ToyWait(pl.Callback):
    def __init__(self, options, facts):
        self.at, self.folder = options.at, facts.run_dir

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step != self.at:
            return
        (self.folder / f"waiting-{trainer.global_rank}").write_text(str(os.getpid()))
        end = time.monotonic() + LIMIT
        go_on = self.folder / "go-on"
        while pl_module.stop_requested is None and not go_on.exists() and time.monotonic() < end:
            time.sleep(0.02)
