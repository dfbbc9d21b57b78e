"""What is learned and how: losses, metrics, regularizers, optimizers and schedulers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

from visioncore_engine.contracts.flow import Group, GroupSpec, Result

__all__ = [
    "Loss",
    "LossFacts",
    "Metric",
    "MetricFacts",
    "OptimizerFacts",
    "ParameterGroup",
    "Regularizer",
    "RegularizerFacts",
    "Scheduler",
    "SchedulerFacts",
]


@dataclass(frozen=True)
class LossFacts:
    """What a loss is built with."""

    groups: tuple[GroupSpec, ...]


class Loss(Protocol):
    """Masked sums per column, and the weights that the engine divides their total by.

    With G the groups and B the micro-batches of one global step, over all processes, the loss of a term is
    ``sum_{g,b} c_g . S_gb / sum_{g,b} c_g . W_gb`` where c_g are the fixed coefficients of `LossOptions.weighting`.
    A value under a false mask must not reach the sum or its gradient, not even as NaN times zero.
    """

    def weights(self, group: Group) -> Mapping[str, Tensor]:
        """Weight of each term per column, float64 (N,) or (1,): from mask and targets, before the forward pass."""
        ...

    def __call__(self, outputs: Mapping[str, Tensor], group: Group) -> Mapping[str, Tensor]:
        """Masked sum of each term per column, with gradient; names and shapes as in `weights`."""
        ...


@dataclass(frozen=True)
class MetricFacts:
    """What a metric is built with."""

    groups: tuple[GroupSpec, ...]


class Metric(Protocol):
    """Sufficient statistics in float64 that add up: over batches, processes and any cut of the data."""

    def state(self, group: GroupSpec) -> dict[str, Tensor]:
        """Zeros, float64, of the size of the statistics."""
        ...

    def update(self, state: dict[str, Tensor], outputs: Mapping[str, Tensor], group: Group) -> None:
        """Add a batch in place."""
        ...

    def compute(self, states: Mapping[str, dict[str, Tensor]]) -> Result:
        """Scores from the states of all groups, by group name."""
        ...


@dataclass(frozen=True)
class RegularizerFacts:
    """What a regularizer is built with: the parameters that its patterns matched, by name, and who moves them."""

    parameters: Mapping[str, nn.Parameter]
    optimizer: Optimizer | None = None


class Regularizer(Protocol):
    """A penalty, a proximal step, or both. The engine multiplies by `strength` and calls each once per step.

    Parameters without a gradient in this step are left out of both.

    A regularizer that knows the gradient of its penalty in closed form may also have ``add_gradients(parameters,
    gradients, strength)``, which adds `strength` times the gradient to each of `gradients`, by name, in place. The
    engine then calls that, and asks for the penalty itself only where it is logged. One with further options that vary
    in time may have ``at(clock)``, which is called in each step before anything else.

    One whose options say ``of: outputs`` is asked for the penalty of a group's outputs, by the name that the model
    gives them, with 0 at predictions in which no target counts. It must be a sum over predictions, 0 where all is 0:
    the loss gets `strength` times its mean over the predictions of the global batch that count, logged as
    ``train/penalty/<id>``. It says ``takes = "outputs"`` and is built without parameters; scores of a validation leave
    it out.
    """

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """Differentiable scalar, before `strength`; None where there is only a proximal step."""
        ...

    def proximal(self, parameters: Mapping[str, Tensor], strength: float, rates: Mapping[str, float]) -> None:
        """Change the parameters in place, after the optimizer step; `rates` are their learning rates."""
        ...


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters with one rate and one decay."""

    name: str
    parameters: Mapping[str, nn.Parameter]
    lr: float
    weight_decay: float


@dataclass(frozen=True)
class OptimizerFacts:
    """What an optimizer is built with."""

    groups: tuple[ParameterGroup, ...]
    fused: bool

    def torch_groups(self) -> list[dict[str, Any]]:
        """Return the parameter groups as torch optimizers take them."""
        return [
            {
                "params": list(group.parameters.values()),
                "lr": group.lr,
                "weight_decay": group.weight_decay,
                "name": group.name,
            }
            for group in self.groups
        ]


@dataclass(frozen=True)
class SchedulerFacts:
    """What a scheduler is built with; `total_steps` is None where the run has no planned end."""

    total_steps: int | None
    steps_per_epoch: int


class Scheduler(Protocol):
    """The factor on every base rate for each optimizer step."""

    def factor(self, step: int) -> float:
        """Factor (>= 0) for optimizer step `step`, counted from 0."""
        ...

    def observe(self, scores: Mapping[str, float]) -> None:
        """Take the scalars of a validation, by logged name; most schedulers ignore them."""
        ...

    def state(self) -> dict[str, Any]:
        """Plain values that `restore` takes back; empty for a pure schedule."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a state."""
        ...
