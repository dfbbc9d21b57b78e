"""What `unruly_plugin` declares: a test writes the hooks itself, as handlers that are called at their place.

Forked processes inherit the handlers; a test that trains in its own process clears them (fixture `handlers`).
"""

from __future__ import annotations

import os

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch import nn
from toy_parts import ToyModel, ToySquared

HANDLERS = {}
STEP = {"now": -1}


def rank():
    return int(os.environ.get("RANK", "0"))


def handle(place, *arguments):
    handler = HANDLERS.get(place)
    return None if handler is None else handler(*arguments)


class Unruly(pl.Callback):
    """Calls the handler of each hook with (trainer, module)."""

    def __init__(self, options, facts):
        self.facts = facts

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        STEP["now"] = trainer.global_step
        handle("on_train_batch_start", trainer, pl_module)

    def state_dict(self):
        return handle("state_dict") or {}

    def load_state_dict(self, state_dict):
        handle("load_state_dict", state_dict)


def _hook(name):
    def hook(self, trainer, pl_module, *rest):
        handle(name, trainer, pl_module)

    hook.__name__ = name
    return hook


for _name in (
    "on_before_optimizer_step",
    "on_train_batch_end",
    "on_train_epoch_end",
    "on_validation_batch_end",
    "on_validation_end",
):
    setattr(Unruly, _name, _hook(_name))


class UnrulyLoss(ToySquared):
    """Squared error that the handler ``loss`` may replace: (sums, group, step) -> sums."""

    def __call__(self, outputs, group):
        sums = super().__call__(outputs, group)
        changed = handle("loss", sums, group, STEP["now"])
        return sums if changed is None else changed


class UnrulyModel(ToyModel):
    """The toy model with running statistics, and a constant buffer."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        self.norm = nn.BatchNorm1d(5)
        self.register_buffer("constant", torch.arange(3.0))

    def forward(self, batch):
        for group in batch.groups:
            group.inputs = self.norm(group.inputs)
        return super().forward(batch)


class UnrulyLogger(Logger):
    """Hands what is logged to the handler ``log``."""

    name = "unruly"
    version = 0
    place = "log"

    def __init__(self, options, facts):
        super().__init__()
        handle("build", facts)
        self.resume_id = facts.resume_id

    def log_hyperparams(self, params, *args, **kwargs):
        pass

    def log_metrics(self, metrics, step=None):
        handle(self.place, dict(metrics), step)
        self.resume_id = str(step)

    def finalize(self, status):
        handle("finalize", status)


class UnrulyAtOnce(UnrulyLogger):
    """Hands what is logged to the handler ``log_at_once``, in the training thread."""

    writes_at_once = True
    place = "log_at_once"
