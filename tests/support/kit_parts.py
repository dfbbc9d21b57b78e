"""Good and faulty components for tests of the test kit."""

from __future__ import annotations

import math
import random

import pytorch_lightning as pl
import torch


class Halving:
    """Halves when the loss stalls. Nothing is wrong with it."""

    def __init__(self, options, facts):
        self.patience = options.patience
        self.best, self.waited, self.value = math.inf, 0, 1.0

    def factor(self, step):
        return self.value

    def observe(self, scores):
        score = scores.get("val/loss", math.nan)
        if score < self.best:
            self.best, self.waited = score, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.value, self.waited = self.value / 2, 0

    def state(self):
        return {"best": self.best, "waited": self.waited, "value": self.value}

    def restore(self, state):
        self.best, self.waited, self.value = state["best"], state["waited"], state["value"]


class Deaf(Halving):
    """Ignores its option."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        self.patience = 1


class Forgetful(Halving):
    """Does not restore how long it has waited."""

    def restore(self, state):
        self.best, self.value = state["best"], state["value"]


class Restless(Halving):
    """Draws from the global generator."""

    def __init__(self, options, facts):
        self.patience, self.best, self.waited = 1, math.inf, 0
        self.value = random.random()


class Squares:
    def __init__(self, options, facts):
        pass

    def penalty(self, parameters):
        return torch.stack([value.square().sum() for value in parameters.values()]).sum()

    def proximal(self, parameters, strength, rates):
        pass


class Detached(Squares):
    """Half of its penalty has no gradient."""

    def penalty(self, parameters):
        whole = super().penalty(parameters)
        return 0.5 * whole + 0.5 * whole.detach()


class Counter(pl.Callback):
    """Counts steps. Nothing is wrong with it."""

    def __init__(self, options, facts):
        self.steps = 0

    def on_train_batch_end(self, *_):
        self.steps += 1

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state_dict):
        self.steps = state_dict["steps"]


class Sleeper(Counter):
    """Leaves the model in evaluation mode, and saves nothing."""

    def on_train_batch_end(self, trainer, pl_module, *_):
        pl_module.model.eval()

    def state_dict(self):
        return {"steps": 0}
