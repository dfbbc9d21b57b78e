"""Groups of labelled examples as the engine's data set."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from visioncore_common.examples.source import Examples, ExampleSource, Scale, fit_scale
from visioncore_common.options.dataset import ExamplesOptions
from visioncore_engine.contracts import GroupSpec, Table, TargetSpec
from visioncore_engine.errors import ConfigError, DataError, Problem

__all__ = ["SPLITS", "ExampleDataset"]

SPLITS = ("train", "validation", "test")


class ExampleDataset:
    """Labelled examples of one or several groups, standardised by their own training examples.

    Parameters
    ----------
    options
        Task and standardisation.
    examples
        The groups.
    classes
        Names of the classes, the same for all groups.
    grouping
        The data's word for groups.
    state
        Standardisation of a trained model (`state`); None fits it.

    Raises
    ------
    DataError
        Where a group has no labelled training example, or the state knows nothing of it.
    """

    def __init__(
        self,
        options: ExamplesOptions,
        examples: Sequence[Examples],
        classes: Sequence[str],
        grouping: str,
        state: Mapping[str, Any] | None,
    ) -> None:
        self._examples = tuple(examples)
        self._task = options.task
        problems = [
            Problem(where=group.name, what="no labelled training example in this group", key="data")
            for group in examples
            if not np.any((group.split == 0) & (group.labels >= 0))
        ]
        if problems:
            raise DataError(*problems)
        self._scales = [
            fit_scale(group, options.standardize) if state is None else _scale_from(state, group.name)
            for group in self._examples
        ]
        self.groups = tuple(_spec(group, options.task, tuple(classes), grouping) for group in self._examples)

    def sources(self, split: str, history: int) -> Sequence[ExampleSource]:
        """One source per group.

        Raises
        ------
        ConfigError
            For a model that needs earlier frames: examples have no time.
        DataError
            For another split than `SPLITS`.
        """
        if split not in SPLITS:
            raise DataError(Problem(what=f"these data have the splits {', '.join(SPLITS)}", key="split", given=split))
        if history:
            raise ConfigError(
                Problem(
                    what=f"the model needs {history} earlier frames, and these data are single examples",
                    key="model",
                    todo="choose a model without history",
                )
            )
        number = SPLITS.index(split)
        return [
            ExampleSource(spec, index, group, group.rows(number), scale)
            for index, (spec, group, scale) in enumerate(zip(self.groups, self._examples, self._scales, strict=True))
        ]

    def fingerprints(self) -> Mapping[str, str]:
        """SHA-256 of each group's arrays, with their dtypes and shapes."""
        return {group.name: _fingerprint(group) for group in self._examples}

    def state(self) -> dict[str, Any]:
        """Mean and deviation of each group, float64."""
        return {
            group.name: {"mean": torch.from_numpy(scale.mean), "deviation": torch.from_numpy(scale.deviation)}
            for group, scale in zip(self._examples, self._scales, strict=True)
        }

    def summary(self) -> Table:
        """Examples per split, those without a label, and classes, a row per group."""
        columns = ("group", *SPLITS, "unlabelled", "shape", "classes")
        rows = [
            {
                "group": group.name,
                **{name: len(group.rows(number)) for number, name in enumerate(SPLITS)},
                "unlabelled": int(np.count_nonzero(group.labels < 0)),
                "shape": "x".join(map(str, spec.input_shape)),
                "classes": spec.targets[self._task].size,
            }
            for group, spec in zip(self._examples, self.groups, strict=True)
        ]
        return Table(columns, rows)


def _spec(group: Examples, task: str, classes: tuple[str, ...], grouping: str) -> GroupSpec:
    labels = group.labels[group.split == 0]
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    target = TargetSpec("classes", len(classes), ids=classes, mean=tuple((counts / counts.sum()).tolist()))
    return GroupSpec(
        name=group.name,
        labels={grouping: group.name},
        input_shape=tuple(group.inputs.shape[1:]),
        targets={task: target},
    )


def _scale_from(state: Mapping[str, Any], name: str) -> Scale:
    if name not in state:
        raise DataError(
            Problem(
                where=name,
                what=f"the model was trained without this group; it knows {', '.join(state)}",
                key="data",
                todo="evaluate it on the groups that it was trained with",
            )
        )
    own = state[name]
    return Scale(own["mean"].double().numpy(), own["deviation"].double().numpy())


def _fingerprint(group: Examples) -> str:
    digest = hashlib.sha256()
    for array in (group.inputs, group.labels, group.split):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        for start in range(0, len(array), 1024):
            digest.update(np.ascontiguousarray(array[start : start + 1024]).tobytes())
    return digest.hexdigest()
