"""Weights averaged over the steps of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from visioncore_common.options.callback import WeightAverageOptions
from visioncore_engine.contracts import CallbackFacts

__all__ = ["WeightAverage"]


class WeightAverage(pl.Callback):
    """Validates, and offers for evaluation, an exponential average of the weights; training never sees it.

    After n steps with weights w_1 … w_n the average is Σ d^(n - k) w_k / Σ d^(n - k), d being the option `decay`: the
    first weights count no more than their place says, as in the bias correction of Adam (Kingma & Ba 2015). It is kept
    in float32 or better. What is frozen stays as it is, and buffers (running statistics of batch norm, say) are those
    of training. A step that is left out counts as one that moved nothing.

    All processes hold the same weights after a step, so that their averages are the same without a word. A resume goes
    on with the weights that are trained, and with their average.
    """

    def __init__(self, options: WeightAverageOptions, facts: CallbackFacts) -> None:
        self._decay = options.decay
        self._offer = facts.offer_weights
        self._average: dict[str, Tensor] = {}
        self._num_steps = 0
        self._trained: dict[str, Tensor] = {}  # by name, while the average stands in their place

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Bring an average that was loaded to where the weights are."""
        del trainer
        if self._average:
            places = {name: value.device for name, value in pl_module.named_parameters()}
            self._average = {name: value.to(places[name]) for name, value in self._average.items()}

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the weights behind this step."""
        del trainer, outputs, batch, batch_idx
        weights = {name: value for name, value in pl_module.named_parameters() if value.requires_grad}
        if not self._average:
            self._average = {name: torch.zeros_like(value, dtype=_precise(value)) for name, value in weights.items()}
        self._num_steps += 1
        share = (1 - self._decay) / (1 - self._decay**self._num_steps)
        news = [weights[name].to(average.dtype) for name, average in self._average.items()]
        torch._foreach_lerp_(list(self._average.values()), news, share)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the average in the place of the weights."""
        if trainer.state.fn != TrainerFn.FITTING:
            return
        weights = dict(pl_module.named_parameters())
        self._trained = {name: weights[name].detach().clone() for name in self._average}
        _put(self._average, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the weights back."""
        del trainer
        _put(self._trained, pl_module)
        self._trained = {}

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Put the weights back where a validation fails: others look at them now."""
        del exception
        self.on_validation_end(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Offer the average to whoever does not train on."""
        del trainer, pl_module, checkpoint
        if self._average:
            self._offer(self._average)

    def state_dict(self) -> dict[str, Any]:
        """Average so far, and of how many steps."""
        return {"average": dict(self._average), "num_steps": self._num_steps}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take back a state."""
        self._average = {name: value.clone() for name, value in state_dict["average"].items()}
        self._num_steps = int(state_dict["num_steps"])


@torch.no_grad()
def _put(values: Mapping[str, Tensor], module: pl.LightningModule) -> None:
    if values:
        weights = dict(module.named_parameters())
        torch._foreach_copy_([weights[name] for name in values], list(values.values()))


def _precise(weight: Tensor) -> torch.dtype:
    """In half precision, a thousandth of a weight is lost beside it."""
    return torch.promote_types(weight.dtype, torch.float32)
