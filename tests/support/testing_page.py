"""The tables of docs/testing-plugins.md that are made from the code."""

from __future__ import annotations

import os
import re
from pathlib import Path

from visioncore_engine.component import KINDS
from visioncore_engine.testing import checks_of

__all__ = ["PAGE", "generated", "laws", "written"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "testing-plugins.md"
WRITE = "VISIONCORE_WRITE_TABLES"  # set to 1, the tests write the tables that they would compare


def laws():
    """The laws of all kinds, and of each."""
    tables = {kind: {check.name: check.law for check in checks_of(kind)} for kind in KINDS}
    every = {name: law for name, law in tables["sampler"].items() if all(name in table for table in tables.values())}
    lines = [_lines("every kind", every)]
    lines += [
        _lines(kind, {name: law for name, law in table.items() if name not in every}) for kind, table in tables.items()
    ]
    total = sum(len(table) for table in tables.values())
    return f"{total} checks in all, over {len(KINDS)} kinds.\n\n" + "\n".join(lines)


def _lines(title, table):
    rows = "".join(f"| `{name}` | {law} |\n" for name, law in table.items())
    return f"### {title.capitalize()}\n\n| check | law |\n|---|---|\n{rows}"


def written(name):
    """What stands on the page in a place that is generated."""
    found = re.search(_place(name), PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"{PAGE.name} has no place for the generated {name}"
    return found["text"]


def generated(name, text):
    """Compare what stands on the page with what ought to, or write it where that is asked for."""
    if os.environ.get(WRITE) == "1":
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(
            re.sub(_place(name), lambda found: f"{found['start']}\n{text}\n{found['end']}", page, flags=re.DOTALL),
            encoding="utf-8",
        )
    return written(name).strip() == text.strip()


def _place(name):
    return rf"(?P<start><!-- generated: {name} -->\n)(?P<text>.*?)(?P<end><!-- end -->)"
