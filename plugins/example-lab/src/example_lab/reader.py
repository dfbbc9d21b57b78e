"""The reader `csv_sheet`."""

from __future__ import annotations

import csv
import io
import math

import numpy as np

from example_lab.options import CsvSheetOptions
from example_lab.sheet import Sheet
from visioncore_engine.contracts import ReaderFacts
from visioncore_engine.errors import DataError, Problem

__all__ = ["CsvSheet"]


class CsvSheet:
    """Reads a file of comma-separated values: a line of names, then a line of numbers for each row.

    Parameters
    ----------
    options
        What the run file says.
    facts
        The path of the file.
    """

    def __init__(self, options: CsvSheetOptions, facts: ReaderFacts) -> None:
        self._options, self._path = options, facts.path

    def read(self) -> Sheet:
        """Read the file.

        Raises
        ------
        DataError
            Where it is not there, cut short or no text, a line has too many or too few cells, or a cell is no number;
            names the line.
        """
        try:
            text = self._path.read_bytes().decode()
            lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=self._options.delimiter))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(Problem(where=str(self._path), what=f"cannot be read: {error}")) from error
        if not text.endswith(("\n", "\r")):
            what = "the file ends within a line: it may be cut short"
            raise DataError(Problem(where=str(self._path), what=what, todo="end the last line, if it is whole"))
        columns = tuple(name.strip() for name in lines[0]) if lines else ()
        if not columns or len(set(columns)) < len(columns):
            raise self._problem(1, "the first line names each column, and no name comes twice", ", ".join(columns))
        rows = [self._row(number, cells, columns) for number, cells in enumerate(lines[1:], 2)]
        values = np.array(rows, dtype=np.float64).reshape(len(rows), len(columns))
        return Sheet(self._path.stem, columns, values, str(self._path))

    def _row(self, line: int, cells: list[str], columns: tuple[str, ...]) -> list[float]:
        if len(cells) != len(columns):
            raise self._problem(line, f"a line has {len(columns)} cells", str(len(cells)))
        return [self._number(line, column, cell.strip()) for column, cell in zip(columns, cells, strict=True)]

    def _number(self, line: int, column: str, cell: str) -> float:
        if cell in self._options.missing:
            return math.nan
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self._problem(line, f"column {column!r} holds finite numbers, or one of `missing`", repr(cell))
        return value

    def _problem(self, line: int, what: str, given: str) -> DataError:
        return DataError(Problem(where=f"{self._path}:{line}", what=what, given=given or "nothing"))
