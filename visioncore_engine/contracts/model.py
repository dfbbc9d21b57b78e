"""The model and its parts: adapters, stages, modulators and readouts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from visioncore_engine.contracts.flow import Batch, GroupSpec, TargetSpec

__all__ = [
    "Adapter",
    "AdapterFacts",
    "Model",
    "ModelFacts",
    "Modulator",
    "ModulatorFacts",
    "Readout",
    "ReadoutFacts",
    "Stage",
    "StageFacts",
]


@dataclass(frozen=True)
class ModelFacts:
    """What a model is built with."""

    groups: tuple[GroupSpec, ...]
    seed: int


@runtime_checkable
class Model(Protocol):
    """An `nn.Module` from a batch to one mapping task -> outputs per group, in the batch's order.

    Outputs are (B, L', N) with L' >= L for sequences (the last L are used), (B, classes) for classes.
    `history` is the number of input frames needed before the first predicted one. What else is said of a task has the
    shape of its outputs and a name of the form ``<task>/<word>`` that losses of the same family know. What regularizers
    of outputs are to see of a model's inside, (B, L', …), is an output ``features/<part>``.

    A model may also have these attributes:

    ``auxiliary``
        Weight of each loss of its own, by name. A group's outputs then hold ``auxiliary/<name>``: a value for each
        prediction, (B, L') or (B,). The loss gets weight times the mean over the predictions of the global batch in
        which a target counts, whatever `loss.weighting`; logged as ``train/auxiliary/<name>`` and ``val/...``.
    ``uses_inputs``
        False for a model that reads side inputs only: inputs are then neither read nor moved, where sources can leave
        them out (`Source`).
    ``compilable``
        Names of the modules in it whose inputs are tensors of one shape however a batch of one size is made up of
        groups; `trainer.compile` compiles these.
    """

    history: int

    def __call__(self, batch: Batch) -> list[dict[str, Tensor]]:
        """Predict."""
        ...


@dataclass(frozen=True)
class AdapterFacts:
    """What an adapter is built with; one is built per group."""

    in_shape: tuple[int, int, int]  # (C, H, W)
    group: GroupSpec


class Adapter(Protocol):
    """`nn.Module`: (B, C, T, H, W) -> (B, C', T, H', W'); `out_shape` is the same for every group."""

    out_shape: tuple[int, int, int]

    def __call__(self, inputs: Tensor) -> Tensor:
        """Adapt one group's inputs."""
        ...


@dataclass(frozen=True)
class StageFacts:
    """What a stage is built with."""

    in_shape: tuple[int, int, int]  # (C, H, W)
    dt: float | None


class Stage(Protocol):
    """`nn.Module`: (B, C, T, H, W) -> (B, C', T - history, H', W'), frame t of the output at frame t + history.

    `history` counts the earlier frames that an output frame sees (0 for a stage that works frame by frame);
    `burn_in` is more than 0 for a recurrent stage, whose true history has no bound: the frames that it runs over
    before its output is used.
    """

    out_shape: tuple[int, int, int]
    history: int
    burn_in: int

    def __call__(self, features: Tensor) -> Tensor:
        """Run the stage."""
        ...


@dataclass(frozen=True)
class ModulatorFacts:
    """What a modulator is built with; `side` is the size of each side input that every group has."""

    in_shape: tuple[int, int, int]  # (C, H, W)
    side: Mapping[str, int]


class Modulator(Protocol):
    """`nn.Module`: (features (B, C, T, H, W), side {name: (B, T, K)}) -> (B, C', T, H, W).

    It starts as the identity where its class says so (`identity_at_start = True`). A modulator may also have `history`
    and `burn_in`, with the meaning that they have for a stage, and ``auxiliary``, the weight of each loss of its own by
    name: it then returns its output and a value of each for every frame of it, ``{name: (B, T - history)}``.
    """

    out_shape: tuple[int, int, int]

    def __call__(self, features: Tensor, side: Mapping[str, Tensor]) -> Tensor:
        """Modulate."""
        ...


@dataclass(frozen=True)
class ReadoutFacts:
    """What a readout is built with; one is built per group and task."""

    in_shape: tuple[int, int, int]  # (C, H, W)
    group: GroupSpec
    target: TargetSpec


class Readout(Protocol):
    """`nn.Module`: features (B, C, T, H, W) -> (B, T, N), before the output nonlinearity. Has `bias` (N,).

    A class of readouts may have a class method ``together(readouts, features, sizes)``, a list of what each of several
    readouts with the same options gives for its own windows, the next ``sizes[i]`` of `features`. A model may call it
    instead of each readout; never one that a class inherits, which does not know what was changed.
    """

    bias: nn.Parameter

    def __call__(self, features: Tensor) -> Tensor:
        """Read out one group."""
        ...
