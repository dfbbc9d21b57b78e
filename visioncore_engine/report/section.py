"""What stands on a report page: sections, and pieces of HTML in which everything is escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Section", "escape", "format_value", "mapping_html", "note_html", "table_html"]


@dataclass(frozen=True)
class Section:
    """One part of a report.

    Attributes
    ----------
    title
        Plain text; also the entry in the page's table of contents.
    html
        The body. Every text from data must have passed `escape`; figures come from `figure_html`.
    order
        Sections stand by rising order, those of plugins between 100 and 899 by custom.
    """

    title: str
    html: str
    order: int = 500


def escape(value: Any) -> str:
    """Turn any value into HTML text that cannot be read as markup, in an element or in a quoted attribute."""
    return html.escape(str(value), quote=True)


def format_value(value: Any) -> str:
    """Write a value as a person reads it: four digits, a dash where there is nothing.

    Examples
    --------
    >>> format_value(0.123456), format_value(1200.0), format_value(None), format_value(True)
    ('0.1235', '1200', '—', 'yes')
    """
    if value is None or value == "":
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if math.isnan(value):
            return "not scored"
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else f"{value:.4g}"
    return str(value)


def note_html(text: str, kind: str = "note") -> str:
    """Set a sentence apart.

    Parameters
    ----------
    text
        Plain text.
    kind
        ``note`` (something is missing, or to be known), ``warning`` or ``error``.
    """
    return f'<p class="{escape(kind)}">{escape(text)}</p>'


def table_html(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Make a table; numbers are formatted and aligned to the right.

    Parameters
    ----------
    columns
        Headings.
    rows
        Cells, as many as there are columns.
    """
    body = [list(row) for row in rows]
    cells = [[row[index] for row in body if row[index] is not None] for index in range(len(columns))]
    numeric = [bool(column) and all(_is_number(value) for value in column) for column in cells]
    head = "".join(_cell("th", title, right) for title, right in zip(columns, numeric, strict=True))
    lines = "".join(
        "<tr>"
        + "".join(_cell("td", format_value(value), right) for value, right in zip(row, numeric, strict=True))
        + "</tr>"
        for row in body
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def mapping_html(value: Any) -> str:
    """Nested plain values: mappings as definition lists, lists of alike mappings as tables."""
    if isinstance(value, Mapping):
        if not value:
            return "—"
        rows = "".join(f"<dt>{escape(key)}</dt><dd>{mapping_html(child)}</dd>" for key, child in value.items())
        return f"<dl>{rows}</dl>"
    if isinstance(value, Sequence) and not isinstance(value, str):
        if value and all(isinstance(item, Mapping) for item in value):
            columns = list(dict.fromkeys(key for item in value for key in item))
            return table_html(columns, ([_inline(item.get(key)) for key in columns] for item in value))
        return escape(", ".join(format_value(item) for item in value)) or "—"
    return escape(format_value(value))


def _inline(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {format_value(child)}" for key, child in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(format_value(child) for child in value)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(tag: str, text: str, right: bool) -> str:
    return f"<{tag}{' class=number' if right else ''}>{escape(text)}</{tag}>"
