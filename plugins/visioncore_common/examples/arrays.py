"""The data set `arrays`: labelled examples in files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from visioncore_common.examples.dataset import ExampleDataset
from visioncore_common.examples.files import group_name, read_examples
from visioncore_common.examples.source import Examples
from visioncore_common.options.dataset import ArraysOptions
from visioncore_engine.contracts import DatasetFacts
from visioncore_engine.errors import ConfigError, DataError, Problem

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
    for path in _find(options):
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


def _find(options: ArraysOptions) -> list[Path]:
    """Files of all patterns, sorted, each once."""
    root = _root(options.root)
    found = {pattern: [] if Path(pattern).is_absolute() else sorted(root.glob(pattern)) for pattern in options.files}
    problems = [
        Problem(what="no file matches", where=str(root), key="data.files", given=repr(pattern), todo=_listing(root))
        for pattern, paths in found.items()
        if not paths
    ]
    if not options.files:
        problems.append(Problem(what="no file is named", key="data.files", todo="write a file name or a pattern"))
    if problems:
        raise DataError(*problems)
    paths = sorted({path for paths in found.values() for path in paths})
    if options.groups == "per_file":
        _refuse_equal_names(paths)
    return paths


def _root(written: str) -> Path:
    text = written or os.environ.get("VISIONCORE_DATA", "")
    if not text:
        raise ConfigError(
            Problem(
                what="where the data are is not known",
                key="data.root",
                todo="write it, or --set data.root=FOLDER, or set the environment variable VISIONCORE_DATA",
            )
        )
    root = Path(text).expanduser()
    if not root.is_dir():
        raise DataError(
            Problem(what="no such folder", where=str(root), key="data.root" if written else "$VISIONCORE_DATA")
        )
    return root


def _listing(root: Path) -> str:
    names = sorted(path.name for path in root.iterdir())
    return f"the folder holds {', '.join([*names[:8], '…'] if len(names) > 8 else names) or 'nothing'}"


def _refuse_equal_names(paths: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for path in paths:
        name = group_name(path)
        if name in seen:
            what = f"two groups named {name!r}: {seen[name]} and {path}"
            raise DataError(Problem(what=what, key="data.files", todo="rename one of them, or write groups: single"))
        seen[name] = path


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
