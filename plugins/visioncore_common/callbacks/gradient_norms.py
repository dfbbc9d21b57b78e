"""How strongly each part of the model is pulled."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from visioncore_common.options.callback import GradientNormsOptions
from visioncore_engine.contracts import CallbackFacts, Training

__all__ = ["GradientNorms"]


class GradientNorms(pl.Callback):
    """Logs the Euclidean norm of the gradient of each part, ``train/gradient_norm/<part>`` and ``…/<part>/clipped``.

    A part is made of the parameters whose names begin with the same `depth` words. The first norm is that of the whole
    gradient, penalties included, before clipping; the second is what the optimizer saw.
    """

    def __init__(self, options: GradientNormsOptions, facts: CallbackFacts) -> None:
        del facts  # a gradient is the same for every run
        self._options = options
        self._measured = False

    @torch.no_grad()
    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Measure before clipping."""
        del optimizer
        self._measured = trainer.global_step % self._options.every == 0
        if self._measured:
            self._track(pl_module, "")

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure after clipping: the gradients stay until the next step."""
        del trainer, outputs, batch, batch_idx
        if self._measured:
            self._track(pl_module, "/clipped")
        self._measured = False

    def _track(self, module: pl.LightningModule, after: str) -> None:
        assert isinstance(module, Training)
        parts: dict[str, list[Tensor]] = {}
        for name, parameter in module.named_parameters():
            if parameter.grad is not None:
                words = name.removeprefix("model.").split(".")
                parts.setdefault(".".join(words[: self._options.depth]), []).append(parameter.grad)
        for part, gradients in parts.items():
            module.track(f"gradient_norm/{part}{after}", torch.nn.utils.get_total_norm(gradients))
