"""What `fault_plugin` declares. A test arms faults in a forked child; the parts let them happen at their place.

A *place* is a hook of Lightning's callbacks, or one of ``on_save``, ``loss``, ``noise``, ``tracker`` and ``log``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from toy_parts import ToySquared

from visioncore_engine.contracts import Batch
from visioncore_engine.data import Permutation
from visioncore_engine.data.draws import generator

__all__ = ["HOOKS", "arm", "die", "now", "raising", "rank", "strike"]

HOOKS = (
    "on_train_start",
    "on_train_epoch_start",
    "on_train_batch_start",
    "on_train_batch_end",
    "on_train_epoch_end",
    "on_validation_start",
    "on_validation_batch_start",
    "on_validation_batch_end",
    "on_validation_end",
    "on_train_end",
)


@dataclasses.dataclass(frozen=True)
class Fault:
    """Does something at a place, in a step of a rank (None: any)."""

    place: str
    do: Callable[[], object]
    step: int | None = None
    rank: int | None = None


_ARMED: list[Fault] = []
now = {"step": 0, "trainer": None, "module": None}
"""What is running: the step, and from the first hook on the trainer and its module."""


def arm(place, do, *, step=None, rank=None):
    """Let `do` happen at a place, in this process and in those that it forks."""
    _ARMED.append(Fault(place, do, step, rank))


def die():
    """End this process as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


def rank():
    """Rank of this process."""
    return int(os.environ.get("RANK", "0"))


def raising(error):
    """What raises an error: to be armed."""

    def do():
        raise error

    return do


def strike(place):
    """Let happen what is armed for this place and moment; returns what the last of it returned."""
    found = None
    for fault in _ARMED:
        if fault.place == place and fault.step in (None, now["step"]) and fault.rank in (None, rank()):
            found = fault.do()
    return found


class ToyWeighted:
    """Draws windows in proportion to their weight, a function of (seed, epoch, step)."""

    def __init__(self, options, facts):
        self.options, self.seed = options, facts.seed
        weights = np.concatenate(facts.index.weights) * (1.0 + np.arange(facts.index.num_items) % 5)
        self.cumulative = np.cumsum(weights) / weights.sum()

    def steps_per_epoch(self):
        return self.options.batches_per_epoch or 4

    def batch(self, position):
        draws = generator(self.seed, position.epoch, position.step).random(self.options.batch_size)
        return np.searchsorted(self.cumulative, draws, side="right")


class ToyOnce:
    """Every window once per epoch."""

    def __init__(self, options, facts):
        self.size, self.seed, self.num_items = options.batch_size, facts.seed, facts.index.num_items

    def steps_per_epoch(self):
        return -(-self.num_items // self.size)

    def batch(self, position):
        places = np.arange(position.step * self.size, min((position.step + 1) * self.size, self.num_items))
        return Permutation(self.num_items, ("once", self.seed, position.epoch))(places)


class ToyNoise:
    """Adds noise to each example that only the key, the group and the item decide."""

    training_only = True

    def __init__(self, options, facts):
        pass

    def __call__(self, batch, key):
        strike("noise")
        return Batch([self._noisy(group, key) for group in batch.groups])

    def _noisy(self, group, key):
        rows = [generator(key, group.index, int(item)).normal(scale=0.1, size=5) for item in group.items]
        noise = torch.tensor(np.array(rows), dtype=group.inputs.dtype).reshape(group.inputs.shape)
        return dataclasses.replace(group, inputs=group.inputs + noise)


class ToyFaulty(ToySquared):
    """Squared error; what is armed for ``loss`` may return a function of the sums that replaces them."""

    def __call__(self, outputs, group):
        sums = super().__call__(outputs, group)
        change = strike("loss")
        return sums if change is None else change(sums)


class ToyFaults(pl.Callback):
    """Lets what is armed happen in every hook, and tells the other parts which step it is."""

    def __init__(self, options=None, facts=None):
        pass

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        strike("on_save")


def _hook(name):
    def hook(self, trainer, pl_module, *rest):
        now.update(step=trainer.global_step, trainer=trainer, module=pl_module)
        strike(name)

    hook.__code__ = hook.__code__.replace(co_name=name)  # as stacks show it
    return hook


for _name in HOOKS:
    setattr(ToyFaults, _name, _hook(_name))


class ToyWitness(pl.Callback):
    """Remembers what each step saw: its windows, and the global generator afterwards.

    Every process also appends the windows of its share to ``seen-<rank>.jsonl`` in the run folder.
    """

    def __init__(self, options=None, facts=None, folder=None):
        self.folder = Path(folder or facts.run_dir)
        self.steps = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        own = windows(batch)
        self.steps.append([trainer.current_epoch, batch_idx, digest(json.dumps(own).encode())])
        line = {"step": trainer.global_step, "epoch": trainer.current_epoch, "windows": own}
        with (self.folder / f"seen-{trainer.global_rank}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps.append(["after", batch_idx, digest(torch.get_rng_state().numpy().tobytes())])

    def on_validation_end(self, trainer, pl_module):
        self.steps.append(["validation", trainer.current_epoch, float(trainer.callback_metrics["val/loss"])])

    def on_train_epoch_end(self, trainer, pl_module):
        self.steps.append(["epoch", trainer.current_epoch, ""])

    def state_dict(self):
        return {"steps": list(self.steps)}

    def load_state_dict(self, state_dict):
        self.steps = list(state_dict["steps"])


def windows(batch):
    """Windows of a plan step, [group, item]; of a stock batch, whose first column numbers the rows."""
    if hasattr(batch, "micros"):
        return [[group.index, int(item)] for micro in batch.micros for group in micro.groups for item in group.items]
    return [[0, int(item)] for item in batch[0]]


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


class ToyTracker(Logger):
    """A remote tracker, as far as a training can tell."""

    def __init__(self, options=None, facts=None):
        super().__init__()
        strike("tracker")

    name = "tracker"
    version = 0

    def log_hyperparams(self, params, *args, **kwargs):
        pass

    def log_metrics(self, metrics, step=None):
        strike("log")
