"""All rows that need no GPU: measure them, print them beside the stored figures, compare, or store them.

    python benchmarks/suite.py [ROW …]            measure, and print beside the stored figures; all rows: ten minutes
    python benchmarks/suite.py [ROW …] --compare  exit 1 where a figure is worse than the stored one by more than 25 %
                                                  in three of three repeats
    python benchmarks/suite.py [ROW …] --write    store the figures and draw the table of docs/performance.md anew
    python benchmarks/suite.py --table            only draw the table, from what is stored

Each row is a script of its own, run in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from figure import RESULTS, Figure, missing, read, shown, write

__all__ = ["BY_HAND", "GPU", "PAGE", "ROWS", "draw", "main", "regressions", "table"]

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
TOLERANCE, REPEATS = 0.25, 3

ROWS: Mapping[str, str] = {
    "data_path": "Data path",
    "training": "Training step",
    "sampling": "Samplers",
    "metric": "Validation",
    "overhead": "Engine overhead",
    "penalties": "Penalties",
    "checkpoints": "Checkpoints",
    "ddp": "Between processes",
    "startup": "Start",
    "first_step": "Start",
    "memory": "Memory",
}
"""Scripts, and what their rows are about."""

BY_HAND = "time_to_quality"
"""A script that takes too long for the suite."""

GPU = "device"
"""A script whose rows are those of a GPU."""

Measured = tuple[dict[str, Any], list[Figure]]


def measured(row: str) -> Measured:
    """Run a row's script: machine and figures."""
    command = [sys.executable, str(ROOT / "benchmarks" / f"{row}.py"), "--json", "--no-write"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found = json.loads(run.stdout)
    except ValueError:
        raise RuntimeError(f"{row}: {run.stderr[-2000:]}") from None
    return found["machine"], [Figure(**figure) for figure in found["figures"]]


def worse(figures: Sequence[Figure], stored: Sequence[Figure]) -> set[str]:
    """Names of the figures that are worse than the stored ones by more than the tolerance."""
    before = {figure.name: figure for figure in stored}
    return {
        figure.name
        for figure in figures
        if figure.name in before and figure.is_worse_than(before[figure.name], TOLERANCE)
    }


def regressions(
    row: str, first: Sequence[Figure], again: Callable[[str], Measured], folder: Path = RESULTS
) -> set[str]:
    """Names of the figures that are worse than stored in each of three repeats; `first` is the first of them.

    Parameters
    ----------
    row
        The row's script.
    first
        What it measured.
    again
        Measures it again.
    folder
        Where results are stored.
    """
    _, stored = read(row, folder)
    left = worse(first, stored)
    for _ in range(REPEATS - 1):
        if left:
            left &= worse(again(row)[1], stored)
    return left


def beside(figures: Sequence[Figure], stored: Sequence[Figure]) -> list[str]:
    """Figures beside the stored ones, as lines."""
    before = {figure.name: figure.value for figure in stored}
    found = []
    for figure in figures:
        numbers = f"{shown(figure.value):>9} {shown(before.get(figure.name)):>9} {figure.goal:>9}"
        found.append(f"  {figure.name:84} {numbers}  {figure.verdict:7}  {figure.note}".rstrip())
    return found


def _told(figure: Figure) -> str:
    return "; ".join(part for part in (figure.verdict, figure.note) if part)


def table(folder: Path = RESULTS) -> str:
    """The table of the page, from what is stored."""
    lines = ["| row | figure | measured | target | |", "|---|---|---|---|---|"]
    for row, title in ROWS.items():
        figures = read(row, folder)[1]
        lines += [f"| {title} | {f.name} | {shown(f.value)} | {f.goal} | {_told(f)} |" for f in figures]
    by_hand = read(BY_HAND, folder)[1] or [
        missing("time to a score on the demo", "not measured: takes hours", target=8.0)
    ]
    lines += [f"| By hand | {f.name} | {shown(f.value)} | {f.goal} | {_told(f)} |" for f in by_hand]
    on_gpu = read(GPU, folder)[1] or [
        missing("share of a step that is the model's own forward and backward", "not measured", target=0.95),
        missing("wait for the batch, as a share of a step", "not measured", target=0.01, better="less"),
    ]
    lines += [f"| GPU | {f.name} | {shown(f.value)} | {f.goal} | {_told(f)} |" for f in on_gpu]
    lines += ["", "Measured on:", ""]
    for row in (*ROWS, BY_HAND, GPU):
        machine, _ = read(row, folder)
        if machine:
            threads = f", {machine['threads']} thread" if machine["threads"] else ""
            lines.append(
                f"- `{row}`: {machine['processor']}, {machine['cores']} cores at load {machine['load']}{threads}, "
                f"Python {machine['python']}, torch {machine['torch']}"
            )
    return "\n".join(lines)


def draw(page: Path = PAGE, folder: Path = RESULTS) -> str:
    """Text of the page with the table drawn anew."""
    text = page.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n\n{table(folder)}\n\n{END}{after}"


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, compare, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", choices=[[], *ROWS], help="rows to measure (default: all)")
    parser.add_argument("--compare", action="store_true", help="exit 1 where a figure is worse than stored")
    parser.add_argument("--write", action="store_true", help="store the figures")
    parser.add_argument("--table", action="store_true", help="only draw the table of the page")
    options = parser.parse_args(arguments)
    lost: dict[str, set[str]] = {}
    start = time.perf_counter()
    for row in () if options.table else options.rows or ROWS:
        machine, figures = measured(row)
        print(f"{ROWS[row]}: measured, stored, target ({time.perf_counter() - start:.0f} s, load {machine['load']})")
        print("\n".join(beside(figures, read(row)[1])), flush=True)
        if options.compare and (names := regressions(row, figures, measured)):
            lost[row] = names
        if options.write:
            write(row, machine, figures)
            PAGE.write_text(draw(), encoding="utf-8")
    if options.table:
        PAGE.write_text(draw(), encoding="utf-8")
    for row, names in lost.items():
        for name in sorted(names):
            print(f"worse than stored in {REPEATS} of {REPEATS} repeats: {row}: {name}", file=sys.stderr)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
