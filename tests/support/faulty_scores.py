"""Faulty losses, metrics, evaluators and transforms. Each is a fault that some system had, or could have."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from visioncore_common.accuracy import Accuracy
from visioncore_common.cross_entropy import CrossEntropy
from visioncore_common.shift import Shift
from visioncore_engine.contracts import Batch, Result
from visioncore_neural.evaluators.units import Units
from visioncore_neural.losses.poisson import Poisson
from visioncore_neural.metrics.bits_per_spike import BitsPerSpike
from visioncore_neural.metrics.correlation import SingleTrialCorrelation
from visioncore_neural.responses import responses_of


class MeanOfThePresent(Poisson):
    """Means instead of sums: a session with few samples weighs as much as one with many."""

    def weights(self, group):
        return {task: (value > 0).double() for task, value in super().weights(group).items()}

    def __call__(self, outputs, group):
        weights = super().weights(group)
        return {task: value / weights[task].clamp(min=1) for task, value in super().__call__(outputs, group).items()}


class SharedMaskCountedOnce(Poisson):
    """A mask (T, 1) divides by T only: the loss is larger by the number of units."""

    def weights(self, group):
        (task,) = super().weights(group)
        total = group.mask.sum(dim=(0, 1), dtype=torch.float64)
        return {
            task: total.expand(group.targets[task].shape[-1]) / (group.targets[task].shape[-1] / group.mask.shape[-1])
        }


class MaskTimesNaN(Poisson):
    """Masked values are multiplied by zero, and NaN times zero is NaN."""

    def __call__(self, outputs, group):
        task = next(iter(outputs))
        rates, counts, valid = responses_of(outputs, group, task)
        losses = rates - counts * torch.log(rates + self._eps)
        return {task: (losses * valid).sum(dim=(0, 1))}


class FallsBackToOne(Poisson):
    """Where the loss is not finite a constant 1 comes out, which hides it."""

    def __call__(self, outputs, group):
        return {
            task: torch.where(value.isfinite(), value, torch.ones_like(value))
            for task, value in super().__call__(outputs, group).items()
        }


class GradientOfAnother(Poisson):
    """The logarithm is detached: the value is right, the gradient is not."""

    def __call__(self, outputs, group):
        full = super().__call__(outputs, group)
        part = super().__call__({task: value.detach() for task, value in outputs.items()}, group)
        return {task: 0.5 * value + 0.5 * part[task] for task, value in full.items()}


class SinglePrecisionWeights(Poisson):
    """Weights in float32, which add up to something else in another order."""

    def weights(self, group):
        return {task: value.float() for task, value in super().weights(group).items()}


class AbsentClassWeighsMost(CrossEntropy):
    """Class weights come from the batch instead of the training set."""

    def weights(self, group):
        counts = torch.bincount(group.targets["response"][group.mask], minlength=3).double().clamp(min=1)
        return {task: value / counts.max() for task, value in super().weights(group).items()}


class MeanPerProcess(BitsPerSpike):
    """Scores of each batch are averaged: they depend on how many processes and batches there are."""

    def update(self, state, outputs, group):
        own = self.state(next(spec for spec in self._groups if spec.name == group.name))
        super().update(own, outputs, group)
        seen = (state["valid"] > 0).double()
        for name, value in own.items():
            state[name].copy_((state[name] * seen + value) / (seen + 1))


class ZeroWhereNothingCounts(BitsPerSpike):
    """Units without a valid sample get 0 instead of NaN, and are counted as scored."""

    @staticmethod
    def _scores(state):
        return np.nan_to_num(BitsPerSpike._scores(state))


class ClampedAtZero(BitsPerSpike):
    """Units are clamped at 0 before the mean: noise scores above 0."""

    @staticmethod
    def _scores(state):
        return np.clip(BitsPerSpike._scores(state), 0.0, None)


class MaskForgotten(SingleTrialCorrelation):
    """The mask of the recording is ignored."""

    def update(self, state, outputs, group):
        super().update(state, outputs, dataclasses.replace(group, mask=torch.ones_like(group.mask)))


class KeepsEverything(SingleTrialCorrelation):
    """Predictions are kept in the object, and scores computed from them: processes cannot add theirs."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        self.kept = {}

    def update(self, state, outputs, group):
        super().update(state, outputs, group)
        self.kept[group.name] = state

    def compute(self, states):
        return super().compute(self.kept or states)


class AverageOfBatches(Accuracy):
    """The score of every batch is averaged: a small last batch weighs as much as the others."""

    def update(self, state, outputs, group):
        own = {name: torch.zeros_like(value) for name, value in state.items()}
        super().update(own, outputs, group)
        total = own["count"].sum().clamp(min=1)
        for name, value in own.items():
            state[name] += value / total


class UndeclaredScore(Accuracy):
    """Logs a name that it does not declare, and not one that it does."""

    def compute(self, states):
        result = super().compute(states)
        result.scalars["f1"] = result.scalars.pop("balanced_accuracy")
        return result


class IgnoresTheMask(Units):
    """Scores over all frames, valid or not."""

    def _run(self, evaluation, lacking):
        everything = _Unmasked(evaluation)
        return super()._run(everything, lacking)


class _Unmasked:
    def __init__(self, evaluation):
        self._evaluation = evaluation

    def batches(self, groups=None):
        for batch, outputs in self._evaluation.batches(groups):
            unmasked = [dataclasses.replace(group, mask=torch.ones_like(group.mask)) for group in batch.groups]
            yield Batch(unmasked), outputs


class LeavesTrainMode(Units):
    """Switches the model to train mode and forgets to switch back."""

    def evaluate(self, evaluation):
        result = super().evaluate(evaluation)
        evaluation.model.train()
        return result


class CachedOnce(Units):
    """Keeps what it found the first time, for whatever comes next."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        self.found = None

    def evaluate(self, evaluation):
        self.found = self.found or super().evaluate(evaluation)
        return self.found


class MeanOfBatches(Units):
    """A scalar that is the mean over batches."""

    def evaluate(self, evaluation):
        result = super().evaluate(evaluation)
        means = [float(outputs[0][next(iter(outputs[0]))].mean()) for _, outputs in evaluation.batches()]
        return Result(scalars={**result.scalars, "mean": sum(means) / len(means)}, tables=result.tables)


class ChangesTheScores(Units):
    """Writes into the scores that it is given."""

    def evaluate(self, evaluation):
        evaluation.scores["units"] = super().evaluate(evaluation)
        return evaluation.scores["units"]


class RolledInPlace(Shift):
    """Frames are rolled around, in the caller's own tensor."""

    def __call__(self, batch, key):
        for group in batch.groups:
            group.inputs.copy_(group.inputs.roll(1 + key % 3, dims=-1))
        return batch


class OneDrawForAll(Shift):
    """One draw for the whole batch, so that all examples move alike."""

    def _shift(self, group, key):
        items = torch.full_like(group.items, int(group.items.sum()))
        return super()._shift(dataclasses.replace(group, items=items), key)


class DrawnByPlace(Shift):
    """Draws belong to the place in the batch: the cut into micro-batches changes them."""

    def _shift(self, group, key):
        return super()._shift(dataclasses.replace(group, items=torch.arange(len(group.items))), key)


class EveryEpochAlike(Shift):
    """The key is ignored: each epoch sees the same augmentation."""

    def __call__(self, batch, key):
        return super().__call__(batch, 0)


class ValidationToo(Shift):
    """Validation is the augmented data as well."""

    training_only = False


class RotatedToEightBits(Shift):
    """Goes through 8 bits on the way, and comes back as another dtype."""

    def __call__(self, batch, key):
        moved = super().__call__(batch, key)
        return Batch(
            [dataclasses.replace(group, inputs=group.inputs.clamp(0, 1).mul(255).byte()) for group in moved.groups]
        )


class MixedWithAnother(Shift):
    """Each example is mixed with its neighbour in the batch, its target stays."""

    def __call__(self, batch, key):
        moved = super().__call__(batch, key)
        return Batch(
            [
                dataclasses.replace(group, inputs=0.7 * group.inputs + 0.3 * group.inputs.roll(1, dims=0))
                for group in moved.groups
            ]
        )
