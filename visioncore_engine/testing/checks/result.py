"""What every `Result` must be, of metrics and of evaluators."""

from __future__ import annotations

import csv
import io
from typing import Any

from visioncore_engine.contracts import Result

__all__ = ["expect_well_formed"]


def expect_well_formed(result: Any) -> None:
    """Raise an AssertionError where a result could not be logged or written."""
    assert isinstance(result, Result), f"it returns {type(result).__name__}, not a visioncore_engine.contracts.Result"
    for name, value in result.scalars.items():
        assert isinstance(value, int | float), f"scalar {name!r} is a {type(value).__name__}: write float(…)"
    for name, table in result.tables.items():
        for number, row in enumerate(table.rows):
            assert tuple(row) == tuple(table.columns), (
                f"row {number} of table {name!r} has the keys {', '.join(row)}, not {', '.join(table.columns)}"
            )
            strange = [key for key, value in row.items() if not isinstance(value, int | float | str | None)]
            assert not strange, (
                f"table {name!r}: {', '.join(strange)} are no plain values, which a CSV file would not hold"
            )
        writer = csv.DictWriter(io.StringIO(), table.columns)
        writer.writerows(table.rows)
    for name, picture in result.figures.items():
        assert picture.startswith(b"\x89PNG"), f"figure {name!r} is no PNG picture"
