"""Text that fits a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

__all__ = ["WIDTH", "columns", "paragraph"]

WIDTH = 80
_ROOM = 36  # what the last column has at least


def columns(rows: Iterable[Sequence[str]], indent: int = 2) -> list[str]:
    """Align rows. The last column is wrapped into what is left of the line, or below where too little is left."""
    cells = [list(row) for row in rows]
    if not cells:
        return []
    most = WIDTH - indent - _ROOM
    widths = [min(max(len(row[number]) for row in cells), most) for number in range(len(cells[0]) - 1)]
    start = min(indent + sum(width + 2 for width in widths), WIDTH - _ROOM)
    lines: list[str] = []
    for *fixed, last in cells:
        head = " " * indent + "".join(f"{cell:<{width}}  " for cell, width in zip(fixed, widths, strict=True))
        wrapped = textwrap.wrap(last, WIDTH - start, break_on_hyphens=False) or [""]
        if len(head) <= start:
            lines.append(f"{head}{wrapped.pop(0)}")
        else:
            lines.append(head)
        lines += [" " * start + more for more in wrapped]
    return [line.rstrip() for line in lines]


def paragraph(text: str, indent: int = 2) -> list[str]:
    """Wrap a text."""
    return textwrap.wrap(text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent)
