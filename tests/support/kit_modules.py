"""Good and faulty modules, losses, metrics, transforms, evaluators and preparations, for tests of the test kit."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import nn

from visioncore_engine.contracts import Batch, Result, Table
from visioncore_engine.data import uniforms
from visioncore_engine.errors import ConfigError


class Window(nn.Module):
    """The mean of the last three frames, times a weight for each channel. Nothing is wrong with it."""

    history, burn_in = 2, 0

    def __init__(self, options, facts):
        super().__init__()
        self.out_shape = facts.in_shape
        self.weight = nn.Parameter(torch.randn(facts.in_shape[0], 1, 1, 1))

    def forward(self, features):
        return features.unfold(2, 3, 1).mean(-1) * self.weight


class Foreseeing(Window):
    """Sees the frame after the one that its output belongs to."""

    def forward(self, features):
        return super().forward(torch.cat([features[:, :, 1:], features[:, :, -1:]], dim=2))


class Gain(nn.Module):
    """A gain that follows a side input; 1 at the start. Nothing is wrong with it."""

    identity_at_start = True

    def __init__(self, options, facts):
        super().__init__()
        if "behavior" not in facts.side:
            raise ConfigError("there is no behavior")
        self.out_shape = facts.in_shape
        self.weight = nn.Parameter(torch.zeros(facts.side["behavior"]))

    def forward(self, features, side):
        return features * (1 + side["behavior"] @ self.weight)[:, None, :, None, None]


class Averaged(Gain):
    """The gain of a batch's mean behavior."""

    def forward(self, features, side):
        return super().forward(features, {name: value.mean(0, keepdim=True) for name, value in side.items()})


class Flat(nn.Module):
    """A linear readout of the spatial mean. Nothing is wrong with it."""

    def __init__(self, options, facts):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(facts.target.size, facts.in_shape[0]))
        self.bias = nn.Parameter(torch.zeros(facts.target.size))

    def forward(self, features):
        return features.mean((3, 4)).transpose(1, 2) @ self.weight.T + self.bias


class Rectified(Flat):
    """A nonlinearity after the bias."""

    def forward(self, features):
        return super().forward(features).relu()


class Crop(nn.Module):
    """The first pixels of every group, with a gain. Nothing is wrong with it."""

    def __init__(self, options, facts):
        super().__init__()
        self.out_shape = (facts.in_shape[0], 2, 2)
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, inputs):
        return inputs[..., :2, :2] * self.gain


class Constant(Crop):
    """What is to be learned is taken out of the graph."""

    def forward(self, inputs):
        return inputs[..., :2, :2] * self.gain.item()


class Squared:
    """Masked squared error. Nothing is wrong with it."""

    def __init__(self, options, facts):
        for group in facts.groups:
            if any(target.kind == "classes" for target in group.targets.values()):
                raise ConfigError("no classes")

    def weights(self, group):
        return {
            task: group.mask.expand_as(value).sum((0, 1), dtype=torch.float64) for task, value in group.targets.items()
        }

    def __call__(self, outputs, group):
        return {task: self._sum(outputs[task], value, group.mask) for task, value in group.targets.items()}

    def _sum(self, output, target, mask):
        mask = mask.expand_as(target)
        zero = torch.zeros_like(output)
        return (torch.where(mask, output, zero) - torch.where(mask, target, zero)).square().sum((0, 1))


class Mean(Squared):
    """A mean where a sum is asked for."""

    def _sum(self, output, target, mask):
        return super()._sum(output, target, mask) / mask.expand_as(target).sum().clamp(min=1)


class Squares:
    """Mean squared error of each column. Nothing is wrong with it."""

    def __init__(self, options, facts):
        self._squared = Squared(options, facts)

    def state(self, group):
        (target,) = group.targets.values()
        return {name: torch.zeros(target.size, dtype=torch.float64) for name in ("sum", "count")}

    def update(self, state, outputs, group):
        ((task, target),) = group.targets.items()
        exact = dataclasses.replace(group, targets={task: target.double()})
        state["sum"] += self._squared({task: outputs[task].double()}, exact)[task]
        state["count"] += self._squared.weights(group)[task]

    def compute(self, states):
        columns = {name: (state["sum"] / state["count"]).numpy() for name, state in states.items()}
        return Result(scalars={"error": self._mean(np.concatenate(list(columns.values())))}, columns=columns)

    def _mean(self, values):
        values = values[~np.isnan(values)]
        return float(values.mean()) if len(values) else float("nan")


class Optimistic(Squares):
    """What could not be scored is 0."""

    def _mean(self, values):
        return float(np.nan_to_num(values).mean())


class Scaled:
    """Each window times a number of its own. Nothing is wrong with it."""

    training_only = True

    def __init__(self, options, facts):
        pass

    def __call__(self, batch, key):
        return Batch([dataclasses.replace(group, inputs=self._scaled(group, key)) for group in batch.groups])

    def _scaled(self, group, key):
        draws = torch.from_numpy(uniforms(group.items.numpy(), 1, "scaled", key)[:, 0]).to(group.inputs.dtype)
        return group.inputs * (1 + draws).reshape(-1, *[1] * (group.inputs.ndim - 1))


class Careless(Scaled):
    """Writes into the windows that it is given."""

    def _scaled(self, group, key):
        return group.inputs.copy_(super()._scaled(group, key))


class Counted:
    """Counts the windows of every group. Nothing is wrong with it."""

    def __init__(self, options, facts):
        self._names = [group.name for group in facts.groups]

    def evaluate(self, evaluation):
        counts = dict.fromkeys(self._names, 0)
        for batch, _ in evaluation.batches():
            counts[batch.groups[0].name] += len(batch)
        rows = [{"group": name, "windows": count} for name, count in counts.items()]
        return Result(scalars={"windows": sum(counts.values())}, tables={"windows": Table(("group", "windows"), rows)})


class Batches(Counted):
    """Counts batches instead, which nobody chose for that."""

    def evaluate(self, evaluation):
        return Result(scalars={"batches": sum(1 for _ in evaluation.batches())})
