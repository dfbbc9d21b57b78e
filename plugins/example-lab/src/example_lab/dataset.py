"""The dataset `sheets`. R rows, K inputs, N predicted columns, B rows of a batch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from example_lab.options import SheetsOptions
from example_lab.sheet import Sheet
from visioncore_engine.contracts import (
    DatasetFacts,
    Group,
    GroupSpec,
    PreparationFacts,
    ReaderFacts,
    Table,
    TargetSpec,
)
from visioncore_engine.errors import ConfigError, DataError, Problem

__all__ = ["SheetSource", "Sheets"]

_SPLITS = ("train", "validation", "test")
_TASK = "values"


class SheetSource:
    """The rows of one sheet in one split; a window is one row.

    A cell without a number is masked. A row that lacks an input can predict nothing: all of it is masked, and what is
    gathered of it are zeros.

    Parameters
    ----------
    group
        Specification of the group.
    index
        Position of the group in the dataset.
    inputs, targets
        float64 (R, K) and (R, N), NaN where a cell holds no number.
    """

    frames_per_item = 1

    def __init__(self, group: GroupSpec, index: int, inputs: np.ndarray, targets: np.ndarray) -> None:
        complete = np.isfinite(inputs).all(axis=1, keepdims=True)
        self.group, self.num_items = group, len(inputs)
        self._index = index
        self._mask = np.isfinite(targets) & complete
        self._inputs = np.where(complete, inputs, 0.0).astype(np.float32)
        self._targets = np.where(self._mask, targets, 0.0).astype(np.float32)

    def weights(self) -> np.ndarray:
        """1 for a row that predicts anything, else 0, float64 (R,)."""
        return np.asarray(self._mask.any(axis=1), dtype=np.float64)

    def column_weights(self) -> Mapping[str, np.ndarray]:
        """Valid values of each predicted column, float64 (N,)."""
        return {_TASK: self._mask.sum(axis=0).astype(np.float64)}

    def gather(self, items: np.ndarray) -> Group:
        """Read rows, in the order of `items` (int64 (B,))."""
        return Group(
            name=self.group.name,
            index=self._index,
            inputs=torch.from_numpy(self._inputs[items]),
            targets={_TASK: torch.from_numpy(self._targets[items])},
            mask=torch.from_numpy(self._mask[items]),
            items=torch.from_numpy(np.asarray(items, dtype=np.int64)),
        )

    def score(self, name: str) -> np.ndarray:
        """Raise KeyError: rows have no scores."""
        raise KeyError(f"{name!r}; sheets have no scores")


class Sheets:
    """A folder of sheets, each of them a group: some columns are predicted from the others.

    Parameters
    ----------
    options
        What the run file says.
    facts
        What the preparations had fitted when the model was trained, if it was.

    Raises
    ------
    DataError
        Where there is no file, or a sheet lacks a column.
    """

    def __init__(self, options: SheetsOptions, facts: DatasetFacts) -> None:
        folder = Path(options.folder)
        paths = sorted({path for pattern in options.files for path in folder.glob(pattern)})
        if not paths:
            given = f"{', '.join(options.files)} in {folder}"
            raise DataError(Problem(key="data.files", what="no file is called so", given=given))
        self._state: dict[str, Any] = {}
        self._sheets: list[tuple[GroupSpec, Sheet, np.ndarray]] = []
        for path in paths:
            sheet: Sheet = options.reader.build(ReaderFacts(path)).read()
            sheet, split = _split(sheet, options.split)
            sheet = self._prepared(sheet, split == 0, options, facts.state)
            self._sheets.append((_spec(sheet, split == 0, options), sheet, split))
        self.groups = tuple(spec for spec, _, _ in self._sheets)

    def sources(self, split: str, history: int) -> Sequence[SheetSource]:
        """One source per sheet.

        Raises
        ------
        ConfigError
            For a model that needs earlier frames: rows have no order.
        DataError
            For a split that does not exist.
        """
        if split not in _SPLITS:
            raise DataError(Problem(what=f"there are the splits {', '.join(_SPLITS)}", given=repr(split)))
        if history:
            raise ConfigError(
                Problem(key="model", what="rows of a sheet have no earlier frames", given=f"a history of {history}")
            )
        found = []
        for index, (spec, sheet, splits) in enumerate(self._sheets):
            predicted = np.isin(sheet.columns, spec.targets[_TASK].ids)
            rows = sheet.values[splits == _SPLITS.index(split)]
            found.append(SheetSource(spec, index, rows[:, ~predicted], rows[:, predicted]))
        return found

    def fingerprints(self) -> Mapping[str, str]:
        """SHA-256 of each prepared sheet: its names, values and split."""
        return {sheet.name: _fingerprint(sheet, split) for _, sheet, split in self._sheets}

    def state(self) -> dict[str, Any]:
        """What the preparations fitted, by sheet and preparation."""
        return self._state

    def summary(self) -> Table:
        """Rows per split, inputs and predicted columns, a row per sheet."""
        rows = [
            {
                "group": spec.name,
                **{name: int(np.count_nonzero(split == number)) for number, name in enumerate(_SPLITS)},
                "inputs": spec.input_shape[0],
                "predicted": spec.targets[_TASK].size,
            }
            for spec, _, split in self._sheets
        ]
        return Table(("group", *_SPLITS, "inputs", "predicted"), rows)

    def _prepared(
        self, sheet: Sheet, train: np.ndarray, options: SheetsOptions, fitted: Mapping[str, Any] | None
    ) -> Sheet:
        own = self._state[sheet.name] = {}
        for choice in options.prepare:
            preparation = choice.build(PreparationFacts(group=sheet.name))
            if fitted is None:
                own[choice.id] = preparation.fit(sheet, train)
            elif sheet.name in fitted:
                own[choice.id] = fitted[sheet.name][choice.id]
            else:
                known = ", ".join(fitted)
                raise DataError(Problem(where=sheet.where, what=f"the model was trained without it, on: {known}"))
            sheet = preparation.apply(sheet, own[choice.id])
        return sheet


def _split(sheet: Sheet, column: str) -> tuple[Sheet, np.ndarray]:
    """Take the split, int64 (R,), out of a sheet."""
    (place,) = sheet.places([column], "data.split")[:1]
    split = sheet.values[:, place]
    if not np.isin(split, (0, 1, 2)).all():
        what = "the split is 0 (training), 1 (validation) or 2 (test) in every row"
        raise DataError(Problem(where=sheet.where, key=column, what=what))
    return sheet.without(sheet.columns[place]), split.astype(np.int64)


def _spec(sheet: Sheet, train: np.ndarray, options: SheetsOptions) -> GroupSpec:
    predicted = sheet.places(options.predict, "data.predict")
    if len(predicted) == len(sheet.columns):
        raise DataError(Problem(where=sheet.where, key="data.predict", what="every column is predicted, from none"))
    inputs = np.delete(sheet.values, predicted, axis=1)
    values = sheet.values[:, predicted][train & np.isfinite(inputs).all(axis=1)]  # other rows predict nothing
    known = np.isfinite(values)
    mean = np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    ids = tuple(sheet.columns[place] for place in predicted)
    return GroupSpec(
        name=sheet.name,
        labels={"sheets": sheet.name},
        input_shape=(len(sheet.columns) - len(predicted),),
        targets={_TASK: TargetSpec("values", len(ids), "columns", ids, tuple(mean.tolist()))},
    )


def _fingerprint(sheet: Sheet, split: np.ndarray) -> str:
    digest = hashlib.sha256(repr(sheet.columns).encode())
    digest.update(np.ascontiguousarray(sheet.values).tobytes())
    digest.update(split.tobytes())
    return digest.hexdigest()
