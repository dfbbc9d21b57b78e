"""From a resolved run to its parts, in the order in which each part needs the ones before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from visioncore_engine.config import Resolved
from visioncore_engine.config.run import RunConfig
from visioncore_engine.contracts import (
    Batch,
    Dataset,
    DatasetFacts,
    EvaluatorFacts,
    GroupSpec,
    Index,
    LossFacts,
    Metric,
    MetricFacts,
    Model,
    ModelFacts,
    OptimizerFacts,
    ParameterGroup,
    Sampler,
    SamplerFacts,
    Scheduler,
    SchedulerFacts,
    Source,
    Transform,
    TransformFacts,
)
from visioncore_engine.data.draws import generator
from visioncore_engine.data.homes import Housing
from visioncore_engine.data.index import build_index, open_sources
from visioncore_engine.errors import ConfigError, DataError, Problem, UserError
from visioncore_engine.guard import check_monitors, check_validation
from visioncore_engine.objective import Objective
from visioncore_engine.options import Choice, LossOptions, OptimizerOptions, SamplerOptions
from visioncore_engine.parameters import group_parameters, loss_coefficients
from visioncore_engine.regularization import Regularization, output_penalties
from visioncore_engine.transfer import Transfer, freeze, transfer

__all__ = [
    "Parts",
    "build",
    "build_dataset",
    "build_metrics",
    "build_model",
    "build_transforms",
    "seed_everything",
    "transformed",
]


@dataclass
class Parts:
    """Everything that a run is made of."""

    run: RunConfig
    dataset: Dataset
    model: nn.Module
    history: int
    index: Index
    validation: Sequence[Source]
    sampler: Sampler
    transforms: Sequence[Transform]
    objective: Objective
    metrics: Mapping[str, Metric]
    regularization: Regularization
    groups: Sequence[ParameterGroup]
    optimizer: torch.optim.Optimizer
    scheduler: Scheduler | None
    steps_per_epoch: int
    total_steps: int
    housing: Housing | None = None  # where the frames live; None where nobody chose
    transfer: Transfer | None = None  # what this start of the run took over; None on resume

    def transformed(self, batch: Batch, epoch: int, *, training: bool) -> Batch:
        """A batch after every transform, or after those that are not for training only."""
        return transformed(self.transforms, batch, self.run.seed, epoch, training=training)


def build_transforms(run: RunConfig, groups: tuple[GroupSpec, ...]) -> list[Transform]:
    """Transforms of a run, in its order."""
    return [choice.build(TransformFacts(groups)) for choice in run.transforms]


def transformed(transforms: Sequence[Transform], batch: Batch, seed: int, epoch: int, *, training: bool) -> Batch:
    """A batch after every transform, or after those that are not for training only."""
    for transform in transforms:
        if training or not transform.training_only:
            batch = transform(batch, int(generator(seed, epoch).integers(2**62)))
    return batch


def seed_everything(seed: int) -> None:
    """Seed torch's and NumPy's global generators, which initialisers and stock layers draw from."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - third-party code may still draw from it


@contextmanager
def _at(resolved: Resolved, key: str) -> Iterator[None]:
    """Fill in where in the run file the key stands, for errors that do not know it."""
    try:
        yield
    except UserError as error:
        raise error.at(resolved.where(key), key) from error


def build_dataset(run: RunConfig, state: Mapping[str, Any] | None = None) -> Dataset:
    """Open the data; `state` is the preparation state of a checkpoint, None to fit it."""
    dataset: Dataset = run.data.build(DatasetFacts(seed=run.seed, state=state))
    return dataset


def build_model(choice: Choice, groups: Sequence[GroupSpec], seed: int) -> nn.Module:
    """Build a model for groups of data, with initial values that only `seed` decides."""
    seed_everything(seed)
    model: nn.Module = choice.build(ModelFacts(tuple(groups), seed))
    return model


def build_metrics(run: RunConfig, groups: Sequence[GroupSpec]) -> dict[str, Metric]:
    """Build the metrics of a run, by id."""
    return {choice.id: choice.build(MetricFacts(tuple(groups))) for choice in run.metrics}


def build(
    resolved: Resolved,
    *,
    fused: bool = False,
    state: Mapping[str, Any] | None = None,
    house: Callable[[Dataset], Housing] | None = None,
) -> Parts:
    """Build every part of a run.

    Parameters
    ----------
    resolved
        The resolved run file.
    fused
        Whether optimizers may use fused kernels on this device.
    state
        Preparation state of a checkpoint that training resumes from.
    house
        Finds a home for the frames (`data.homes.settle`), where the model reads any; None leaves them as opened.

    Raises
    ------
    UserError
        With file and line, for whatever the run file asks that the data or the model cannot give.
    """
    run = resolved.run
    with _at(resolved, "data"):
        dataset = build_dataset(run, state)
    with _at(resolved, "model"):
        model = build_model(run.model, dataset.groups, run.seed)
        if run.trainer.precision == "64-true":
            model.double()  # Lightning would, but after it has rounded the weights of a checkpoint to float32
        history = _history(model)
    with _at(resolved, "loader"):
        housing = house(dataset) if house is not None and getattr(model, "uses_inputs", True) else None
    taken = _transfer(resolved, model, dataset, resumed=state is not None)
    with _at(resolved, "data"):
        index = build_index(open_sources(dataset, "train", model, history))
        validation = open_sources(dataset, "validation", model, history)
        if not any(source.num_items for source in validation):
            raise DataError(Problem(what="no validation window in any group: nothing could choose a checkpoint"))
    sampler_options = run.sampler.options
    assert isinstance(sampler_options, SamplerOptions)
    sampler: Sampler = run.sampler.build(SamplerFacts(index, run.seed))
    steps_per_epoch = sampler.steps_per_epoch()
    total_steps = _total_steps(run, steps_per_epoch)
    check_validation(resolved, steps_per_epoch, total_steps)
    check_monitors(resolved, dataset.groups)
    with _at(resolved, "evaluate"):
        for choice in run.evaluate:
            choice.build(EvaluatorFacts(dataset.groups))  # to be told now, not after training, what it lacks
    loss = run.loss.build(LossFacts(dataset.groups))
    assert isinstance(run.loss.options, LossOptions)
    with _at(resolved, "loss.weighting"):
        coefficients = loss_coefficients(run.loss.options.weighting, index)
    penalties = output_penalties(run.regularizers)
    optimizer_options = run.optimizer.options
    assert isinstance(optimizer_options, OptimizerOptions)
    with _at(resolved, "optimizer.groups"):
        groups = group_parameters(model, optimizer_options)
    if not groups:
        raise ConfigError(Problem(what="the model has no trainable parameter", where=resolved.where("model")))
    optimizer: torch.optim.Optimizer = run.optimizer.build(OptimizerFacts(groups, fused))
    scheduler = run.scheduler.build(SchedulerFacts(total_steps, steps_per_epoch)) if run.scheduler else None
    return Parts(
        run=run,
        dataset=dataset,
        model=model,
        history=history,
        index=index,
        validation=validation,
        sampler=sampler,
        transforms=build_transforms(run, dataset.groups),
        objective=Objective(loss, coefficients, getattr(model, "auxiliary", None), penalties),
        metrics=build_metrics(run, dataset.groups),
        regularization=Regularization.build(run.regularizers, model, optimizer),
        groups=groups,
        optimizer=optimizer,
        scheduler=scheduler,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        housing=housing,
        transfer=taken,
    )


def _transfer(resolved: Resolved, model: nn.Module, dataset: Dataset, *, resumed: bool) -> Transfer | None:
    """Take weights over where training starts; a resumed run has its own, and its source may be gone."""
    options = resolved.run.transfer
    if options is None:
        return None
    taken = None
    with _at(resolved, "transfer"):
        if not resumed:
            taken = transfer(options, model, dataset.groups, resolved.dump()["data"], dataset.state())
        freeze(model, options.freeze)
    return taken


def _history(model: nn.Module) -> int:
    assert isinstance(model, Model)
    return model.history


def _total_steps(run: RunConfig, steps_per_epoch: int) -> int:
    ends = []
    if run.trainer.max_epochs is not None:
        ends.append(run.trainer.max_epochs * steps_per_epoch)
    if run.trainer.max_steps is not None:
        ends.append(run.trainer.max_steps)
    return min(ends)
