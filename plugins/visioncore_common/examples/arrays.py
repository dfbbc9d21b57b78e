"""The data set `arrays`: labelled examples in files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from visioncore_common.examples.dataset import ExampleDataset
from visioncore_common.examples.files import read_examples
from visioncore_common.examples.paths import find_files
from visioncore_common.examples.source import Examples
from visioncore_common.options.dataset import ArraysOptions
from visioncore_engine.contracts import DatasetFacts
from visioncore_engine.errors import DataError, Problem

__all__ = ["arrays"]


def arrays(options: ArraysOptions, facts: DatasetFacts) -> ExampleDataset:
    """Open the files of a data set.

    Raises
    ------
    ConfigError
        Where `root` is neither written nor in the environment.
    DataError
        For every file that is missing, unreadable or inconsistent, all in one go.
    """
    groups: list[Examples] = []
    problems: list[Problem] = []
    for path in find_files(options):
        try:
            groups.append(read_examples(path, options))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(*problems)
    if options.groups == "single":
        groups = [_join(groups)]
    classes = options.classes or tuple(
        str(number) for number in range(1 + max(int(group.labels.max(initial=0)) for group in groups))
    )
    if len(classes) < 2:
        raise DataError(Problem(what="there are labels of one class only", key="data.labels"))
    return ExampleDataset(options, groups, classes, options.grouping, facts.state)


def _join(groups: Sequence[Examples]) -> Examples:
    """Put all files into one group, in order."""
    shapes = {group.inputs.shape[1:] for group in groups}
    if len(shapes) > 1:
        raise DataError(
            Problem(
                what="files of one group need examples of one shape",
                key="data.groups",
                given=", ".join(str(shape) for shape in sorted(shapes)),
                todo="write groups: per_file",
            )
        )
    if len(groups) == 1:
        return Examples("all", groups[0].inputs, groups[0].labels, groups[0].split)
    return Examples(
        "all",
        np.concatenate([group.inputs for group in groups]),
        np.concatenate([group.labels for group in groups]),
        np.concatenate([group.split for group in groups]),
    )
