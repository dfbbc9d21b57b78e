"""What readers and preparations of this package hand on: named columns of numbers. R rows, K columns."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from visioncore_engine.errors import DataError, Problem, nearest

__all__ = ["Sheet"]


@dataclass(frozen=True, eq=False)
class Sheet:
    """One file of numbers.

    Attributes
    ----------
    name
        What its group is called.
    columns
        K names.
    values
        float64 (R, K); NaN where a cell holds no number.
    where
        The file, for messages.
    """

    name: str
    columns: tuple[str, ...]
    values: np.ndarray
    where: str = ""

    def places(self, patterns: Sequence[str], key: str) -> list[int]:
        """Numbers of the columns that patterns match, ascending.

        Parameters
        ----------
        patterns
            Shell-style patterns over the names of the columns.
        key
            Option that holds them, for the message.

        Raises
        ------
        DataError
            Where a pattern matches nothing.
        """
        idle = [pattern for pattern in patterns if not fnmatch.filter(self.columns, pattern)]
        if idle:
            close = nearest(idle[0], self.columns)
            raise DataError(
                Problem(
                    where=self.where,
                    key=key,
                    what=f"no column is called so; there are: {', '.join(self.columns)}",
                    given=", ".join(map(repr, idle)),
                    todo=f"did you mean {close!r}?" if close else "",
                )
            )
        return [
            number
            for number, column in enumerate(self.columns)
            if any(fnmatch.fnmatchcase(column, pattern) for pattern in patterns)
        ]

    def with_values(self, values: np.ndarray) -> Sheet:
        """Return the same sheet with other numbers, float64 (R, K)."""
        return replace(self, values=values)

    def without(self, column: str) -> Sheet:
        """Return the sheet without one column."""
        place = self.columns.index(column)
        columns = self.columns[:place] + self.columns[place + 1 :]
        return replace(self, columns=columns, values=np.delete(self.values, place, axis=1))
