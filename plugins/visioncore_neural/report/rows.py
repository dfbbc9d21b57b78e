"""The table ``units`` of a run, as the sections read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from visioncore_engine.report import ReportContext, numbers

__all__ = ["UnitRows", "table_rows", "unit_rows"]


@dataclass(frozen=True)
class UnitRows:
    """Units of one split.

    Attributes
    ----------
    split
        ``validation`` where the run was evaluated on it.
    rows
        A row per unit, texts as in the file.
    """

    split: str
    rows: Sequence[Mapping[str, str]]

    def scores(self, name: str = "bits_per_spike") -> np.ndarray:
        """One score of every unit, float64 (rows,); NaN where there is none."""
        return numbers(self.rows, name)

    def column(self, name: str) -> list[str]:
        """Texts of a column."""
        return [row.get(name, "") for row in self.rows]

    def sessions(self) -> list[str]:
        """Sessions in the order of the table."""
        return list(dict.fromkeys(self.column("session")))

    def ranked(self) -> list[int]:
        """Rows from the best to the worst by bits per spike; units without a score are left out."""
        scores = self.scores()
        order = np.argsort(-scores, kind="stable")  # NaN last
        return [int(row) for row in order if not np.isnan(scores[row])]


def table_rows(context: ReportContext, name: str) -> tuple[str, Sequence[Mapping[str, str]]] | None:
    """Rows of a table for the split that a report shows: ``validation``, else the first there is."""
    rows = context.tables.get(name)
    if not rows:
        return None
    splits = [row["split"] for row in rows]
    split = "validation" if "validation" in splits else splits[0]
    return split, [row for row in rows if row["split"] == split]


def unit_rows(context: ReportContext) -> UnitRows | None:
    """Rows of the table ``units``; None where the run has none."""
    found = table_rows(context, "units")
    return None if found is None else UnitRows(*found)
