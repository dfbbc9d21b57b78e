"""What a benchmark found: figures with their targets, and where they were measured."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

__all__ = ["RESULTS", "Figure", "command", "lines", "machine", "missing", "read", "shown", "write"]

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Figure:
    """One number of a row.

    Attributes
    ----------
    name
        What was measured, over what it was divided by.
    value
        The ratio; None where it was not measured, and `note` says why.
    better
        Whether more or less of it is better.
    target
        What is to be reached; None for a figure that only checks a baseline.
    note
        What a reader must know to read the number.
    detail
        Further numbers, by name.
    """

    name: str
    value: float | None
    better: Literal["more", "less"] = "more"
    target: float | None = None
    note: str = ""
    detail: Mapping[str, float] = field(default_factory=dict)

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None where there is no target or no value."""
        if self.value is None or self.target is None:
            return None
        return self.value >= self.target if self.better == "more" else self.value <= self.target

    @property
    def verdict(self) -> str:
        """Whether the target is reached, in a word; empty where there is nothing to say."""
        return {True: "reached", False: "missed", None: ""}[self.reached]

    @property
    def goal(self) -> str:
        """The target, for a person."""
        sign = "≥" if self.better == "more" else "≤"
        return "" if self.target is None else f"{sign} {shown(self.target)}"

    def is_worse_than(self, stored: Figure, tolerance: float) -> bool:
        """Whether the value is worse than a stored one by more than `tolerance`, a share of it."""
        if self.value is None or stored.value is None:
            return False
        if self.better == "more":
            return self.value < (1 - tolerance) * stored.value
        # What costs nothing stays in the noise around zero: a hundredth more is no loss.
        return self.value > max(stored.value, 0.0) / (1 - tolerance) + 0.01 * (self.target or 0.0)


def missing(name: str, why: str, *, target: float | None = None, better: Literal["more", "less"] = "more") -> Figure:
    """Return a figure that could not be measured: ``not there yet`` or ``not measured``, and what is missing."""
    return Figure(name, None, better, target, why)


def machine(threads: int | None = None) -> dict[str, Any]:
    """What the figures were measured on; `threads` are those of torch, None where it was not used."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    models = [line.partition(":")[2].strip() for line in text if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "pytorch-lightning": version("pytorch-lightning"),
        "threads": threads,
    }


def read(name: str, folder: Path = RESULTS) -> tuple[dict[str, Any], list[Figure]]:
    """Machine and figures of a stored result; nothing where there is none."""
    path = folder / f"{name}.json"
    if not path.is_file():
        return {}, []
    stored = json.loads(path.read_text(encoding="utf-8"))
    return stored["machine"], [Figure(**figure) for figure in stored["figures"]]


def write(name: str, where: Mapping[str, Any], figures: Sequence[Figure]) -> None:
    """Store figures as ``results/<name>.json``, with the machine that they were measured on."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    result = {"machine": where, "figures": [asdict(figure) for figure in figures]}
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")


def lines(figures: Sequence[Figure]) -> list[str]:
    """Figures as lines for a person."""
    return [
        f"{figure.name:84} {shown(figure.value):>9} {figure.goal:>9}  {figure.verdict:7}  {figure.note}".rstrip()
        for figure in figures
    ]


def shown(value: float | None) -> str:
    """Three digits."""
    return "-" if value is None else f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def command(
    name: str, measure: Callable[[], list[Figure]], description: str | None, arguments: list[str] | None = None
) -> int:
    """Measure a row from the command line, print it, and store it as ``results/<name>.json``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--no-write", action="store_true", help=f"leave results/{name}.json as it is")
    options = parser.parse_args(arguments)
    figures = measure()
    torch = sys.modules.get("torch")
    where = machine(torch.get_num_threads() if torch else None)
    if not options.no_write:
        write(name, where, figures)
    result = {"machine": where, "figures": [asdict(figure) for figure in figures]}
    print(json.dumps(result, ensure_ascii=False) if options.json else "\n".join(lines(figures)))
    return 0
