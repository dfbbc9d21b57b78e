"""Tables as plain text. Needs nothing but Python: commands that load no torch print them too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["format_table"]


def format_table(header: Iterable[str], rows: Iterable[Iterable[Any]], *, width: int = 80) -> str:
    """Plain-text table that fits a terminal.

    Columns that do not fit follow in a further block, which repeats the first column.

    Parameters
    ----------
    header
        Column titles.
    rows
        Cells; numbers are right-aligned.
    width
        Characters per line.
    """
    titles = [str(title) for title in header]
    body = [list(row) for row in rows]
    texts = [titles, *([_cell(value) for value in row] for row in body)]
    first, *others = (
        _Column(
            [row[place] for row in texts],
            right=bool(body) and all(isinstance(row[place], int | float | None) for row in body),
        )
        for place in range(len(titles))
    )
    blocks: list[list[_Column]] = [[first]]
    for column in others:
        if len(blocks[-1]) > 1 and sum(part.size + 2 for part in (*blocks[-1], column)) - 2 > width:
            blocks.append([first])
        blocks[-1].append(column)
    return "\n\n".join("\n".join(_lines(block)) for block in blocks)


class _Column:
    """Cells of one column, padded to one width."""

    def __init__(self, texts: list[str], *, right: bool) -> None:
        self.size = max(map(len, texts))
        padded = [text.rjust(self.size) if right else text.ljust(self.size) for text in texts]
        self.cells = [padded[0], "─" * self.size, *padded[1:]]


def _lines(block: Iterable[_Column]) -> list[str]:
    return ["  ".join(cells).rstrip() for cells in zip(*(column.cells for column in block), strict=True)]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
