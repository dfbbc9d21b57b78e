"""``visioncore compare``: runs against the first of them, unit by unit."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visioncore_neural.comparison.conditions import Condition
    from visioncore_neural.comparison.pair import Pair

__all__ = ["build"]

_NOTES = """\
Runs that differ in nothing but their seed are one condition; the first one named is the baseline. Units are paired by
session and id, and must have been scored on the same frames of the same recordings. The interval is the middle 95 % of
a bootstrap over units, and over seeds where a condition has several; it says which. With fewer than five seeds it is
too narrow about seeds.

examples:
  visioncore compare runs/plain runs/film
  visioncore compare runs/plain/* runs/film/* --metric single_trial_correlation --split test --json"""
_Handler = Callable[[argparse.Namespace], int]


def build(parser: argparse.ArgumentParser) -> _Handler:
    """Add the arguments of ``visioncore compare``.

    Parameters
    ----------
    parser
        The command's parser.

    Returns
    -------
    The handler.
    """
    parser.epilog = _NOTES
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders, or folders that hold some")
    parser.add_argument("--metric", default="bits_per_spike", metavar="NAME", help="column of units.csv")
    parser.add_argument("--split", default="validation", metavar="SPLIT", help="the split (validation)")
    parser.add_argument("--baseline", metavar="NAME", help="what the others are compared with (the first)")
    parser.add_argument("--common", action="store_true", help="leave out units that only some runs have")
    parser.add_argument("--draws", type=int, default=10_000, metavar="N", help="draws of the bootstrap (10000)")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where table and picture go; by default above the runs"
    )
    parser.add_argument("--json", action="store_true", help="print as JSON, for machines")
    return _run


def _run(arguments: argparse.Namespace) -> int:
    from visioncore_engine.report import run_folders
    from visioncore_neural.comparison.conditions import conditions_of
    from visioncore_neural.comparison.pair import compare
    from visioncore_neural.comparison.scores import read_scores

    paths = run_folders(arguments.runs)
    found = conditions_of([read_scores(path, arguments.metric, arguments.split) for path in paths])
    baseline, others = _chosen(found, arguments.baseline)
    pairs = [compare(one, baseline, common=arguments.common, num_draws=max(arguments.draws, 1)) for one in others]
    files = _write(pairs, arguments, paths)
    if arguments.json:
        _print_json(pairs, baseline, others, arguments, files)
    else:
        _print_table(pairs, baseline, others, arguments, files)
    return 0


def _chosen(found: list[Condition], name: str | None) -> tuple[Condition, list[Condition]]:
    from visioncore_engine.errors import Problem, UsageError, nearest

    names = [one.name for one in found]
    if len(found) < 2:
        what = f"all runs are of one condition, {names[0]!r}: there is nothing to compare it with"
        raise UsageError(Problem(what=what, todo="name runs of at least two"))
    if name is not None and name not in names:
        close = nearest(name, names)
        todo = (f"did you mean {close!r}? " if close else "") + f"there are: {', '.join(names)}"
        raise UsageError(Problem(key="--baseline", what="no run has this name", given=repr(name), todo=todo))
    place = names.index(name) if name is not None else 0
    return found[place], [one for number, one in enumerate(found) if number != place]


def _write(pairs: list[Pair], arguments: argparse.Namespace, paths: list[Path]) -> list[Path]:
    """Write the table of differences and the picture."""
    import csv
    import os

    from visioncore_engine.report import drawing, figure_png
    from visioncore_neural.comparison.figure import comparison_figure

    parents = [str(path.resolve().parent) for path in paths]
    folder = Path(os.path.relpath(os.path.commonpath(parents))) if arguments.out is None else arguments.out
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"compare-{arguments.metric}-{arguments.split}"
    table, picture = folder / f"{stem}.csv", folder / f"{stem}.png"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["condition", "baseline", "seed", "session", "unit", "score", "baseline_score", "difference"])
        for pair in pairs:
            columns = (pair.scores.tolist(), pair.baseline_scores.tolist(), pair.differences.tolist())
            for (seed, unit), *values in zip(pair.keys, *columns, strict=True):
                writer.writerow([pair.name, pair.baseline, "" if seed is None else seed, *unit, *values])
    with drawing():
        picture.write_bytes(figure_png(comparison_figure(pairs, arguments.metric)))
    return [table, picture]


def _print_table(
    pairs: list[Pair], baseline: Condition, others: list[Condition], arguments: argparse.Namespace, files: list[Path]
) -> None:
    import textwrap

    from visioncore_engine.listing import format_table

    rows: list[list[Any]] = []
    for pair, one in zip(pairs, others, strict=True):
        low, high = pair.interval
        means = (float(pair.scores.mean()), float(pair.baseline_scores.mean()))
        rows.append(
            [
                pair.name,
                len(one.runs),
                len(pair.keys),
                *means,
                pair.mean,
                f"{low:+.4g} to {high:+.4g}",
                f"{pair.wins:.0%}",
            ]
        )
    _say(f"{arguments.metric} on {arguments.split}, against {baseline.name} ({len(baseline.runs)} runs)\n")
    _say(format_table(("condition", "runs", "units", "mean", "baseline", "difference", "95 %", "wins"), rows))
    _say("")
    for pair in pairs:
        left = f"; {pair.left_out} units without a score are left out" if pair.left_out else ""
        _say(textwrap.fill(f"{pair.name}: resampled were {pair.resampled}{left}", 80))
    for file in files:
        _say(str(file))


def _print_json(
    pairs: list[Pair], baseline: Condition, others: list[Condition], arguments: argparse.Namespace, files: list[Path]
) -> None:
    import json

    def told(one: Condition) -> dict[str, Any]:
        return {"name": one.name, "seeds": list(one.seeds), "runs": [str(run.path) for run in one.runs]}

    found = {
        "metric": arguments.metric,
        "split": arguments.split,
        "baseline": told(baseline),
        "comparisons": [
            {
                **told(one),
                "units": len(pair.keys),
                "left_out": pair.left_out,
                "mean": float(pair.scores.mean()),
                "baseline_mean": float(pair.baseline_scores.mean()),
                "difference": pair.mean,
                "interval": list(pair.interval),
                "wins": pair.wins,
                "resampled": pair.resampled,
            }
            for pair, one in zip(pairs, others, strict=True)
        ],
        "files": [str(file) for file in files],
    }
    _say(json.dumps(found, indent=2))


def _say(text: str) -> None:
    print(text)  # noqa: T201 - the command line prints
