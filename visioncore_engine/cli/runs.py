"""List runs: how far each has come, what it scored, and in what they differ."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visioncore_engine.cli.parser import example

if TYPE_CHECKING:
    from visioncore_engine.report.runs import RunOverview

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "folders", nargs="*", default=[Path("runs")], type=Path, metavar="DIR", help="folders that hold runs (runs)"
    )
    parser.add_argument("--split", default="validation", metavar="SPLIT", help="the split that is scored (validation)")
    parser.add_argument(
        "--metric", nargs="+", default=[], metavar="NAME", help="scores to show; by default the one that is monitored"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON, for machines")
    example(parser, "visioncore runs", "visioncore runs runs/study --metric loss accuracy --split test")


def run(arguments: argparse.Namespace) -> int:
    """List."""
    from visioncore_engine.report.runs import differing, run_folders, run_overview

    runs = [run_overview(path) for path in run_folders(arguments.folders)]
    differences = differing([one.config for one in runs])
    if arguments.json:
        rows = [_plain(one, differences, number) for number, one in enumerate(runs)]
        print(json.dumps(rows, indent=2))
        return 0
    from visioncore_engine.listing import format_table

    metrics = arguments.metric or list(dict.fromkeys(one.monitor for one in runs))
    header = ["run", "state", "step", *metrics, *differences]
    print(format_table(header, _rows(runs, metrics, arguments.split, list(differences.values()))))
    return 0


def _rows(
    runs: Sequence[RunOverview], metrics: Sequence[str], split: str, differences: Sequence[Sequence[str]]
) -> list[list[Any]]:
    return [
        [
            str(one.path),
            one.state,
            one.step,
            *(one.scores.get(split, {}).get(name) for name in metrics),
            *(values[number] for values in differences),
        ]
        for number, one in enumerate(runs)
    ]


def _plain(one: RunOverview, differences: dict[str, list[str]], number: int) -> dict[str, Any]:
    # JSON has no NaN: null says that nothing could be scored.
    scores = {
        split: {
            name: value if isinstance(value, (int, float)) and math.isfinite(value) else None
            for name, value in found.items()
        }
        for split, found in one.scores.items()
    }
    return {
        "path": str(one.path),
        "name": one.name,
        "state": one.state,
        "step": one.step,
        "scores": scores,
        "differences": {key: values[number] for key, values in differences.items()},
    }
