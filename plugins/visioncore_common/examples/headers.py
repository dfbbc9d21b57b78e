"""What the headers of a data set's files say is wrong with it (`visioncore check`). Torch-free; reads no example."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visioncore_common.examples.archive import UNREADABLE, Member, refuse_missing
from visioncore_common.examples.paths import find_files
from visioncore_common.options.dataset import ArraysOptions
from visioncore_engine.errors import DataError, Problem, UserError

if TYPE_CHECKING:
    from visioncore_engine.config.run import RunConfig

__all__ = ["problems"]

_Header = tuple[tuple[int, ...], np.dtype[Any]]


def problems(config: RunConfig) -> list[Problem]:
    """Find what is wrong with the files of a run.

    Files that are not there or cannot be read, arrays that are missing, of another type than numbers, of other axes
    than `data.axes`, or of different lengths.
    """
    options = config.data.options
    assert isinstance(options, ArraysOptions)
    try:
        paths = find_files(options)
    except UserError as error:
        return list(error.problems)
    return [problem for path in paths for problem in _problems_of(path, options)]


def _problems_of(path: Path, options: ArraysOptions) -> list[Problem]:
    keys = (options.inputs, options.labels, options.split)
    try:
        headers = _headers(path, keys)
    except DataError as error:
        return list(error.problems)
    (shape, dtype), *others = headers
    inputs = Member(path, options.inputs)
    errors = []
    if dtype.kind not in "biuf":
        errors.append(inputs.error("numbers are needed", dtype))
    if len(shape) != len(options.axes):
        what = f"`axes` {options.axes!r} names {len(options.axes)} axes"
        errors.append(inputs.error(what, f"shape {shape}", "correct `data.axes`"))
    else:
        num_examples = shape[options.axes.index("n")]
        for key, (size, kind) in zip(keys[1:], others, strict=True):
            if len(size) != 1 or kind.kind not in "iu":
                errors.append(Member(path, key).error("one integer per example is needed", f"{kind} {size}"))
            elif size[0] != num_examples:
                errors.append(Member(path, key).error(f"{num_examples} examples, but {size[0]} values here"))
    return [problem for error in errors for problem in error.problems]


def _headers(path: Path, keys: Sequence[str]) -> list[_Header]:
    """Shape and dtype of each array."""
    if path.is_dir():
        refuse_missing(path, keys, sorted(file.stem for file in path.glob("*.npy")))
        return [_header(Member(path, key), path / f"{key}.npy") for key in keys]
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_missing(path, keys, sorted(name.removesuffix(".npy") for name in archive.namelist()))
            return [_member_header(Member(path, key), archive) for key in keys]
    except DataError:
        raise
    except UNREADABLE as error:
        raise Member(path).unreadable(error) from error


def _header(member: Member, path: Path) -> _Header:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except UNREADABLE as error:
        raise member.unreadable(error) from error
    return array.shape, array.dtype


def _member_header(member: Member, archive: zipfile.ZipFile) -> _Header:
    name = f"{member.key}.npy" if f"{member.key}.npy" in archive.namelist() else member.key
    try:
        with archive.open(name) as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
    except UNREADABLE as error:
        raise member.unreadable(error) from error
    if dtype.hasobject:
        raise member.error("pickled objects are refused: loading them would run code", todo="store numbers")
    return shape, dtype
