"""Text that fits a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

__all__ = ["WIDTH", "columns", "paragraph"]

WIDTH = 80


def columns(rows: Iterable[Sequence[str]], indent: int = 2) -> list[str]:
    """Align rows; the last column is wrapped into what is left of the line."""
    cells = [list(row) for row in rows]
    if not cells:
        return []
    widths = [max(len(row[number]) for row in cells) for number in range(len(cells[0]) - 1)]
    start = indent + sum(width + 2 for width in widths)
    lines: list[str] = []
    for *fixed, last in cells:
        head = " " * indent + "".join(f"{cell:<{width}}  " for cell, width in zip(fixed, widths, strict=True))
        room = max(WIDTH - start, 24)
        first, *rest = textwrap.wrap(last, room, break_on_hyphens=False) or [""]
        lines += [f"{head}{first}".rstrip(), *(" " * start + more for more in rest)]
    return lines


def paragraph(text: str, indent: int = 2) -> list[str]:
    """Wrap a text."""
    return textwrap.wrap(text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent)
