"""Faulty samplers, schedulers, regularizers, optimizers, callbacks, loggers and launchers, each a likely fault."""

from __future__ import annotations

import csv
import math
import os
import random

import numpy as np
import torch

from visioncore_common.callbacks.early_stopping import EarlyStopping
from visioncore_common.callbacks.heartbeat import Heartbeat
from visioncore_common.launchers.torchrun import Torchrun
from visioncore_common.loggers.csv import CSV
from visioncore_common.loggers.jsonl import JSONL
from visioncore_common.optimizers import adamw
from visioncore_common.plateau import Plateau
from visioncore_common.regularizers.norms import L1, L2
from visioncore_common.regularizers.proximal import ProximalL1
from visioncore_common.samplers import Sequential, Shuffled
from visioncore_common.schedulers import Cosine, WarmupCosine
from visioncore_engine.launch import Place
from visioncore_neural.samplers.contrast_weighted import ContrastWeighted


class OneEpochForEver(Shuffled):
    """The generator is seeded anew with step 0: every epoch is the first."""

    def batch(self, position):
        return super().batch(position._replace(epoch=0))


class FirstBatchForEver(Sequential):
    """Without shuffling, the first batch comes over and over."""

    def batch(self, position):
        return super().batch(position._replace(epoch=0, step=0))


class ShardedTwice(Shuffled):
    """Takes its share of a batch itself, and the engine takes a share of that."""

    def batch(self, position):
        return super().batch(position)[::2]


class ListOfAllWindows(Shuffled):
    """Writes down all windows for every batch."""

    def batch(self, position):
        number, places = self._place(position)
        return np.random.default_rng([self._seed, number]).permutation(self._num_items)[places]


class Multinomial:
    """`torch.multinomial`, which knows no more than 2^24 windows."""

    def __init__(self, options, facts):
        self._size = options.batch_size // facts.index.frames_per_item
        self._steps = options.batches_per_epoch or -(-facts.index.num_items // self._size)
        self._weights = torch.from_numpy(np.concatenate(facts.index.weights))
        self._seed = facts.seed

    def steps_per_epoch(self):
        return self._steps

    def batch(self, position):
        draws = torch.Generator().manual_seed(hash((self._seed, position.epoch, position.step)) % 2**31)
        return torch.multinomial(self._weights, self._size, replacement=True, generator=draws).numpy()


class NoRamp(ContrastWeighted):
    """The blend rescales all weights alike, and normalising takes it away: there is no ramp, only a jump."""

    def share(self, position):
        return 0.0 if super().share(position) < 1.0 else 1.0


class ScoresOfFrames(ContrastWeighted):
    """Scores are matched to windows by position in another list: they belong to other windows."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        self._scores = [prefix[-1] - prefix[::-1] for prefix in self._scores]


class OwnCounter(Shuffled):
    """Counts its own calls: asked again or resumed, the plan goes on from somewhere else."""

    calls = 0

    def batch(self, position):
        self.calls += 1
        number, step = divmod(self.calls - 1, self._steps)
        return super().batch(position._replace(epoch=number, step=step))


class PythonsGenerator(Shuffled):
    """Draws with Python's global generator."""

    def batch(self, position):
        return np.array([random.randrange(self._num_items) for _ in super().batch(position)], dtype=np.int64)


class FirstEpochAtZero(WarmupCosine):
    """The rise starts from exactly 0 and goes by epochs: the first one is trained at rate 0."""

    def factor(self, step):
        return 0.0 if step < 2 * self._warmup else super().factor(step)


class RisesAgain(Cosine):
    """Past the end of the run the cosine rises again."""

    def factor(self, step):
        return self._low + (1.0 - self._low) * (1.0 + math.cos(math.pi * step / self._total)) / 2.0


class CountsItsCalls(Cosine):
    """A call is a step: under accumulation, or asked twice, the curve drifts."""

    calls = 0

    def factor(self, step):
        self.calls += 1
        return super().factor(self.calls - 1)


class BestNotSaved(Plateau):
    """The best score is not in the state: after a resume the first score is the best."""

    def restore(self, state):
        super().restore({**state, "best": None, "waited": 0})


class NaNIsTheBest(Plateau):
    """NaN compares false with everything, and so it stays the best for ever."""

    def observe(self, scores):
        if any(math.isnan(value) for value in scores.values()):
            self._factor = math.nan
        super().observe(scores)


class MovesEverything(ProximalL1):
    """The step is applied to all matched parameters, also those that were not touched or are frozen."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        self._all = facts.parameters

    def proximal(self, parameters, strength, rates):
        rate = max(rates.values(), default=0.0)
        super().proximal(self._all, strength, dict.fromkeys(self._all, rate))


class OncePerGroup(ProximalL1):
    """The rate of another group is used, and the step runs again for each of them."""

    def proximal(self, parameters, strength, rates):
        for rate in rates.values():
            super().proximal(parameters, strength, dict.fromkeys(rates, rate))


class NothingMatched(L1):
    """A misspelt type is no regularizer: the penalty is 0, without a word."""

    def of(self, parameter):
        return 0.0 * parameter.sum()


class PenaltyWithoutGradient(L2):
    """The penalty is a number taken out of the graph."""

    def of(self, parameter):
        return torch.tensor(float(parameter.detach().square().sum()), requires_grad=True)


class GrowsWithCalls(L2):
    """Counts twice what it is asked for twice."""

    factor = 0.0

    def of(self, parameter):
        self.factor += 1.0
        return self.factor * super().of(parameter)


def one_rate_for_all(options, facts):
    """The rate of each group is consumed before it is set: all groups have the base rate."""
    optimizer = adamw(options, facts)
    for group in optimizer.param_groups:
        group["lr"] = options.lr
    return optimizer


def decays_everything(options, facts):
    """What is to be left out of weight decay is named in another way, and matches nothing."""
    optimizer = adamw(options, facts)
    for group in optimizer.param_groups:
        group["weight_decay"] = 0.1
    return optimizer


class _NeverSteps(torch.optim.SGD):
    def step(self, closure=None):
        return None


def never_steps(options, facts):
    """The closure returned nothing, and so no step is ever taken while the step counter goes on."""
    return _NeverSteps(facts.torch_groups(), lr=options.lr, momentum=options.momentum, nesterov=options.nesterov)


class _TouchesTheUntouched(torch.optim.SGD):
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
        return super().step(closure)


def touches_the_untouched(options, facts):
    """A head that no sample used gets a gradient of zero, and decays and drifts with its momentum."""
    momentum, nesterov = options.momentum, options.nesterov
    return _TouchesTheUntouched(facts.torch_groups(), lr=options.lr, momentum=momentum, nesterov=nesterov)


class BestIsTheCurrent(EarlyStopping):
    """The count starts again with every resume."""

    def load_state_dict(self, state_dict):
        super().load_state_dict({**state_dict, "waited": 0})


class NotCheckpointed(EarlyStopping):
    """Nothing of it is in the checkpoint."""

    def state_dict(self):
        return {}

    def load_state_dict(self, state_dict):
        pass


class TakesLightningsName(Heartbeat):
    """Has a method that Lightning overwrites."""

    def log(self, text):
        self._write(text)


class LeavesEvalMode(Heartbeat):
    """Switches the model to eval mode for a look at it, and does not switch back."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        pl_module.eval()


class FreezesForGood(Heartbeat):
    """Freezes a part and never thaws it."""

    def on_train_epoch_start(self, trainer, pl_module):
        super().on_train_epoch_start(trainer, pl_module)
        next(pl_module.parameters()).requires_grad_(False)


class TrainsOn(Heartbeat):
    """Shrinks the weights while it watches."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        with torch.no_grad():
            for parameter in pl_module.parameters():
                parameter.mul_(0.999)


class HistoryLost(CSV):
    """A resume writes the file anew."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        self._path.unlink(missing_ok=True)


class RowsDoubled(CSV):
    """A resume appends after the rows that will come again."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        self.resume_id = None

    def _open(self, first_step):
        super()._open(10**9)


class FailsOnNaN(JSONL):
    """Refuses values that are not finite."""

    def log_metrics(self, metrics, step=None):
        if not all(math.isfinite(value) for value in metrics.values()):
            raise ValueError("not finite")
        super().log_metrics(metrics, step)


class KeepsRowsToItself(CSV):
    """Writes at the end: a killed process leaves nothing."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        self._waiting = []

    def log_metrics(self, metrics, step=None):
        self._waiting.append((dict(metrics), step))

    def finalize(self, status):
        for metrics, step in self._waiting:
            super().log_metrics(metrics, step)
        self._waiting = []


class WritesTheSecrets(CSV):
    """Writes the configuration beside its rows, passwords too."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        facts.run_dir.mkdir(parents=True, exist_ok=True)
        with (facts.run_dir / "config.csv").open("w", newline="") as file:
            csv.writer(file).writerows([key, repr(value)] for key, value in facts.config.items())


class EveryoneIsFirst(Torchrun):
    """All processes take themselves for the first and choose a folder each."""

    def place(self):
        place = super().place()
        return Place(
            0, place.world_size, place.local_rank, place.local_world_size, place.node_rank, place.address, place.port
        )


class ReadsTheWrongRank(Torchrun):
    """Takes the place on the host for the place among all."""

    def place(self):
        place = super().place()
        return Place(
            place.local_rank,
            place.world_size,
            place.local_rank,
            place.local_world_size,
            place.node_rank,
            place.address,
            place.port,
        )


class LeavesTheEnvironmentChanged(Torchrun):
    """Writes into the environment of everybody."""

    def place(self):
        os.environ["MASTER_ADDR"] = "127.0.0.2"
        return super().place()
