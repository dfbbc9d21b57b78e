"""Reading and checking one file of labelled examples. Nothing pickled is ever loaded."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from visioncore_common.examples.source import Examples
from visioncore_common.options.dataset import ArraysOptions
from visioncore_engine.errors import DataError, Problem, nearest

__all__ = ["group_name", "read_examples"]

_CHUNK = 1024  # examples that are looked at together
_MOST_CLASSES = 10_000  # where the run file does not name them: beyond it, the array holds something else
_UNREADABLE = (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)


def group_name(path: Path) -> str:
    """Name of the group that a file or folder holds."""
    return path.name if path.is_dir() else path.stem


@dataclass(frozen=True)
class _Member:
    """An array in a file, for messages."""

    path: Path
    key: str = ""

    def error(self, what: str, given: object = None, todo: str = "") -> DataError:
        given = None if given is None else str(given)
        return DataError(Problem(where=str(self.path), key=self.key, what=what, given=given, todo=todo))

    def unreadable(self, error: Exception) -> DataError:
        # NumPy also says this of anything that it does not know, as if all of it were pickles.
        if "allow_pickle" in str(error) and self.key:
            return self.error("pickled objects are refused: loading them would run code", todo="store numbers")
        return self.error("cannot be read: cut short, or no NumPy file", str(error) or type(error).__name__)


def read_examples(path: Path, options: ArraysOptions) -> Examples:
    """Read one ``.npz`` file, or map one folder of ``.npy`` files, and check all of it.

    Raises
    ------
    DataError
        For arrays that are missing, unreadable, pickled, of the wrong shape or type, or hold impossible values.
    """
    inputs, labels, split = _read_arrays(path, (options.inputs, options.labels, options.split))
    inputs = _to_nchw(inputs, options.axes, _Member(path, options.inputs))
    highest = len(options.classes) - 1 if options.classes else _MOST_CLASSES - 1
    labels = _integers(labels, len(inputs), _Member(path, options.labels), (-1, highest))
    split = _integers(split, len(inputs), _Member(path, options.split), (0, 2))
    _refuse_non_finite(inputs, labels, _Member(path, options.inputs))
    return Examples(group_name(path), inputs, labels, split)


def _read_arrays(path: Path, keys: Sequence[str]) -> list[np.ndarray]:
    if path.is_dir():
        _refuse_missing(path, keys, sorted(file.stem for file in path.glob("*.npy")))
        return [_map(_Member(path, key), path / f"{key}.npy") for key in keys]
    with path.open("rb") as file:  # NumPy would leave a file open that it cannot read
        archive = _open(_Member(path), file)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            what = "one array alone, labels and split are needed too"
            raise _Member(path).error(what, todo="write an .npz file or a folder")
        _refuse_missing(path, keys, sorted(archive.files))
        return [_extract(_Member(path, key), archive) for key in keys]


def _map(member: _Member, path: Path) -> np.ndarray:
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except _UNREADABLE as error:
        raise member.unreadable(error) from error


def _open(member: _Member, file: BinaryIO) -> Any:
    try:
        return np.load(file, allow_pickle=False)
    except _UNREADABLE as error:
        raise member.unreadable(error) from error


def _extract(member: _Member, archive: Any) -> np.ndarray:
    try:
        return np.asarray(archive[member.key])
    except _UNREADABLE as error:
        raise member.unreadable(error) from error


def _refuse_missing(path: Path, keys: Sequence[str], known: Sequence[str]) -> None:
    problems = []
    for key in keys:
        if key not in known:
            close = nearest(key, known)
            todo = f"did you mean {close!r}?" if close else "name it by `inputs`, `labels` or `split`"
            what = f"no such array; there are {', '.join(known) or 'none'}"
            problems.append(Problem(what=what, where=str(path), key=key, todo=todo))
    if problems:
        raise DataError(*problems)


def _to_nchw(inputs: np.ndarray, axes: str, member: _Member) -> np.ndarray:
    """View of the inputs with the axes (N, C, H, W); those that are not stored have size 1."""
    if inputs.dtype.kind not in "biuf":
        raise member.error("numbers are needed", inputs.dtype)
    if inputs.ndim != len(axes):
        raise member.error(f"`axes` {axes!r} names {len(axes)} axes", f"shape {inputs.shape}", "correct `data.axes`")
    inputs = inputs.transpose([axes.index(axis) for axis in "nchw" if axis in axes])
    sizes = iter(inputs.shape)
    return inputs.reshape([next(sizes) if axis in axes else 1 for axis in "nchw"])


def _integers(values: np.ndarray, num_examples: int, member: _Member, allowed: tuple[int, int]) -> np.ndarray:
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise member.error("one integer per example is needed", f"{values.dtype} {values.shape}")
    if len(values) != num_examples:
        raise member.error(f"{num_examples} examples, but {len(values)} values here")
    low, high = allowed
    wrong = np.flatnonzero((values < low) | (values > high))
    if wrong.size:
        first = int(wrong[0])
        raise member.error(f"{wrong.size} values outside {low} … {high}", f"{values[first]} at example {first}")
    return values.astype(np.int64)


def _refuse_non_finite(inputs: np.ndarray, labels: np.ndarray, member: _Member) -> None:
    """Refuse values that are not finite, except where there is no label: nothing ever sees those."""
    if inputs.dtype.kind != "f":
        return
    wrong: list[int] = []
    for start in range(0, len(inputs), _CHUNK):
        finite = np.isfinite(inputs[start : start + _CHUNK]).all(axis=(1, 2, 3))
        wrong += (start + np.flatnonzero(~finite & (labels[start : start + _CHUNK] >= 0))).tolist()
    if wrong:
        raise member.error(
            f"{len(wrong)} labelled examples hold values that are not finite",
            f"first at example {wrong[0]}",
            "mend them, or give them the label -1",
        )
