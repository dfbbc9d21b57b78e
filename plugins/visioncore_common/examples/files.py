"""Reading and checking one file of labelled examples. Nothing pickled is ever loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from visioncore_common.examples.archive import UNREADABLE, Member, group_name, refuse_missing
from visioncore_common.examples.source import Examples
from visioncore_common.options.dataset import ArraysOptions

__all__ = ["read_examples"]

_CHUNK = 1024  # examples that are looked at together
_MOST_CLASSES = 10_000  # where the run file does not name them: beyond it, the array holds something else


def read_examples(path: Path, options: ArraysOptions) -> Examples:
    """Read one ``.npz`` file, or map one folder of ``.npy`` files, and check all of it.

    Raises
    ------
    DataError
        For arrays that are missing, unreadable, pickled, of the wrong shape or type, or hold impossible values.
    """
    inputs, labels, split = _read_arrays(path, (options.inputs, options.labels, options.split))
    inputs = _to_nchw(inputs, options.axes, Member(path, options.inputs))
    highest = len(options.classes) - 1 if options.classes else _MOST_CLASSES - 1
    labels = _integers(labels, len(inputs), Member(path, options.labels), (-1, highest))
    split = _integers(split, len(inputs), Member(path, options.split), (0, 2))
    _refuse_non_finite(inputs, labels, Member(path, options.inputs))
    return Examples(group_name(path), inputs, labels, split)


def _read_arrays(path: Path, keys: Sequence[str]) -> list[np.ndarray]:
    if path.is_dir():
        refuse_missing(path, keys, sorted(file.stem for file in path.glob("*.npy")))
        return [_map(Member(path, key), path / f"{key}.npy") for key in keys]
    with path.open("rb") as file:  # NumPy would leave a file open that it cannot read
        archive = _open(Member(path), file)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            what = "one array alone, labels and split are needed too"
            raise Member(path).error(what, todo="write an .npz file or a folder")
        refuse_missing(path, keys, sorted(archive.files))
        return [_extract(Member(path, key), archive) for key in keys]


def _map(member: Member, path: Path) -> np.ndarray:
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except UNREADABLE as error:
        raise member.unreadable(error) from error


def _open(member: Member, file: BinaryIO) -> Any:
    try:
        return np.load(file, allow_pickle=False)
    except UNREADABLE as error:
        raise member.unreadable(error) from error


def _extract(member: Member, archive: Any) -> np.ndarray:
    try:
        return np.asarray(archive[member.key])
    except UNREADABLE as error:
        raise member.unreadable(error) from error


def _to_nchw(inputs: np.ndarray, axes: str, member: Member) -> np.ndarray:
    """View of the inputs with the axes (N, C, H, W); those that are not stored have size 1."""
    if inputs.dtype.kind not in "biuf":
        raise member.error("numbers are needed", inputs.dtype)
    if inputs.ndim != len(axes):
        raise member.error(f"`axes` {axes!r} names {len(axes)} axes", f"shape {inputs.shape}", "correct `data.axes`")
    inputs = inputs.transpose([axes.index(axis) for axis in "nchw" if axis in axes])
    sizes = iter(inputs.shape)
    return inputs.reshape([next(sizes) if axis in axes else 1 for axis in "nchw"])


def _integers(values: np.ndarray, num_examples: int, member: Member, allowed: tuple[int, int]) -> np.ndarray:
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


def _refuse_non_finite(inputs: np.ndarray, labels: np.ndarray, member: Member) -> None:
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
