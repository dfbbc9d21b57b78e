"""What the loggers `jsonl` and `csv` wrote into a run folder, as curves."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Curve", "Logged", "read_logged"]


@dataclass
class Curve:
    """Values of one logged name: `steps` rising, as many as `values`."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Logged:
    """Everything that was logged.

    Attributes
    ----------
    curves
        By name, e.g. ``train/loss``; without values that are not finite.
    source
        Name of the file; empty where there is none.
    damaged
        Lines that could not be read.
    not_finite
        Values that are NaN or infinite: what could not be scored, mostly.
    """

    curves: Mapping[str, Curve]
    source: str = ""
    damaged: int = 0
    not_finite: int = 0


def read_logged(run_dir: Path) -> Logged:
    """Read ``metrics.jsonl``, else ``metrics.csv``.

    A step that was logged twice (a resumed run repeats what it had not saved) holds its last value. A line cut off by a
    crash is counted, not fatal.
    """
    for name, reader in (("metrics.jsonl", _json_rows), ("metrics.csv", _csv_rows)):
        path = run_dir / name
        if path.is_file():
            with path.open(encoding="utf-8", errors="replace", newline="") as lines:
                return _collect(reader(lines), name)
    return Logged({})


def _json_rows(lines: Iterable[str]) -> Iterator[Mapping[str, Any] | None]:
    for line in lines:
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        yield row if isinstance(row, dict) else None


def _csv_rows(lines: Iterable[str]) -> Iterator[Mapping[str, Any] | None]:
    yield from csv.DictReader(lines)


def _collect(rows: Iterable[Mapping[str, Any] | None], source: str) -> Logged:
    found: dict[str, dict[int, float]] = {}
    damaged = not_finite = 0
    for row in rows:
        step = None if row is None else _number(row.get("step"))
        if row is None or step is None or not math.isfinite(step):
            damaged += 1
            continue
        for name, given in row.items():
            value = None if name == "step" else _number(given)
            if value is None:  # a text such as a time, or an empty cell
                continue
            if math.isfinite(value):
                found.setdefault(name, {})[int(step)] = value
            else:
                not_finite += 1
    curves = {}
    for name, points in sorted(found.items()):
        steps = sorted(points)
        curves[name] = Curve(steps, [points[step] for step in steps])
    return Logged(curves, source, damaged, not_finite)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None
