"""Tables of units beside the recordings: CSV with `session`, `unit` and columns of numbers."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from visioncore_engine.errors import DataError, Problem

__all__ = ["column_names", "file_digest", "rows_of_session"]

_KEYS = ("session", "unit")


def file_digest(path: str, key: str = "table") -> str:
    """SHA-256 of a file's bytes.

    Raises
    ------
    DataError
        Where it cannot be read; names the option `key`.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(Problem(where=path, key=key, what=f"cannot be read: {error}")) from error


def column_names(table: str) -> tuple[str, ...]:
    """Columns beside `session` and `unit`.

    Raises
    ------
    DataError
        Where the table cannot be read.
    """
    file_digest(table)  # says what is wrong where it cannot be read
    with Path(table).open(encoding="utf-8", newline="") as file:
        return tuple(name for name in csv.DictReader(file).fieldnames or () if name not in _KEYS)


def rows_of_session(
    table: str, session: str, units: Sequence[str], columns: Sequence[str]
) -> dict[str, list[dict[str, float]]]:
    """Rows that are about a session's units, by unit, in the order of `units`; numbers in `columns`, NaN where empty.

    Raises
    ------
    DataError
        Where the table cannot be read, lacks a column or a row for a unit, or holds what is no number.
    """
    file_digest(table)
    with Path(table).open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in (*_KEYS, *columns) if name not in (reader.fieldnames or ())]
        if missing:
            given = ", ".join(reader.fieldnames or ()) or "an empty file"
            raise DataError(Problem(where=table, what=f"has no column {', '.join(missing)}", given=given))
        found: dict[str, list[dict[str, float]]] = {unit: [] for unit in units}
        for number, row in enumerate(reader, start=2):
            if row["session"] == session and row["unit"] in found:
                found[row["unit"]].append({name: _number(row, name, table, number) for name in columns})
    lacking = [unit for unit, rows in found.items() if not rows]
    if lacking:
        what = f"has no row for {len(lacking)} units of session {session!r}"
        raise DataError(Problem(where=table, key="unit", what=what, given=", ".join(lacking[:5])))
    return found


def _number(row: Mapping[str, str | None], name: str, table: str, line: int) -> float:
    try:
        return float(row[name] or "nan")
    except ValueError:
        raise DataError(
            Problem(where=f"{table}:{line}", key=name, what="is no number", given=repr(row[name]))
        ) from None
