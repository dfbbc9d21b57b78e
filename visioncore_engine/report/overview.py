"""The top of the page: what the run is called, how it ended, and its scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from visioncore_engine.report.context import ReportContext
from visioncore_engine.report.curves import best_of, main_scores
from visioncore_engine.report.section import Section, escape, format_value, note_html, table_html

__all__ = ["header_html", "run_name", "scores_section"]


def run_name(context: ReportContext) -> str:
    """Name of the run: what the run file says, what its folder says otherwise."""
    named = (context.run.get("run") or {}).get("name")
    folder = context.run_dir.resolve()
    # The default folder is runs/<name>/<time>.
    return str(named or (folder.parent.name if folder.name[:8].isdigit() else folder.name))


def header_html(context: ReportContext) -> str:
    """Title, date and a verdict of one line, above a row of numbers."""
    facts = [text for text in (_date(context), str(context.run_dir.resolve().name)) if text]
    tiles = "".join(
        f'<div class="tile"><b>{escape(format_value(value))}</b><span>{escape(name)}</span></div>'
        for name, value in _tiles(context).items()
    )
    return (
        f'<header><p class="kind">Run report</p><h1>{escape(run_name(context))}</h1>'
        f'<p class="facts">{escape(" · ".join(facts))}</p>'
        f'<p class="verdict">{escape(_verdict(context))}</p>'
        + (f'<div class="tiles">{tiles}</div>' if tiles else "")
        + "</header>"
    )


def scores_section(context: ReportContext) -> Section:
    """Every scalar of every split; those of single groups folded away."""
    if not any(context.scores.values()):
        return Section("Scores", note_html("No scores: the run folder holds no readable scores.json."), 10)
    splits = list(context.scores)
    names = list(dict.fromkeys(name for values in context.scores.values() for name in values))
    overall = [name for name in names if "/" not in name]
    rows = [[name, *(context.scores[split].get(name) for split in splits)] for name in overall]
    body = table_html(["score", *splits], rows) if rows else ""
    for split in splits:
        body += _by_group(split, context.scores[split])
    if context.tables:
        files = ", ".join(f"{name}.csv ({len(rows)} rows)" for name, rows in context.tables.items())
        body += f'<p class="facts">Tables in the run folder: {escape(files)}</p>'
    return Section("Scores", body, 10)


def _by_group(split: str, scores: Mapping[str, float]) -> str:
    """Scores ``<name>/<group>`` of one split, a row per group and a column per name."""
    cells: dict[str, dict[str, float]] = {}
    for name, value in scores.items():
        score, slash, group = name.partition("/")
        if slash:
            cells.setdefault(group, {})[score] = value
    if not cells:
        return ""
    columns = list(dict.fromkeys(score for row in cells.values() for score in row))
    table = table_html(["", *columns], ([group, *(row.get(name) for name in columns)] for group, row in cells.items()))
    return f"<details><summary>{escape(split)}, group by group</summary>{table}</details>"


def _verdict(context: ReportContext) -> str:
    best = best_of(context)
    parts = []
    if best is not None:
        parts.append(f"Best {best.name} {best.value:.4g} at step {best.step}")
    epochs = _epochs(context)
    if epochs is not None:
        parts.append(f"{epochs:g} epochs")
    duration = _seconds(context)
    if duration is not None:
        parts.append(f"trained for {_spoken(duration)}")
    return ", ".join(parts) + "." if parts else "Nothing is known of how this run went: it logged nothing."


def _tiles(context: ReportContext) -> dict[str, Any]:
    """Pick the main scores of the validation at the end, and how long the run was."""
    final = context.scores.get("validation", {})
    tiles: dict[str, Any] = {}
    for name in main_scores(context):
        word = name.removeprefix("val/")
        if word in final and not math.isnan(final[word]):
            tiles[f"{word.replace('_', ' ')}, validation"] = final[word]
    steps = [curve.steps[-1] for curve in context.logged.curves.values()]
    if steps:
        tiles["optimizer steps"] = max(steps)
    groups = context.record.get("data")
    if isinstance(groups, Mapping) and groups:
        tiles["groups of data"] = len(groups)
    return tiles


def _epochs(context: ReportContext) -> float | None:
    curve = context.logged.curves.get("epoch")
    return round(max(curve.values), 1) if curve else None


def _date(context: ReportContext) -> str:
    started = context.record.get("started")
    return _readable(str(started)) if started else ""


def _readable(moment: str) -> str:
    try:
        return datetime.fromisoformat(moment).strftime("%d %B %Y, %H:%M")
    except ValueError:
        return moment


def _seconds(context: ReportContext) -> float | None:
    try:
        started, finished = (datetime.fromisoformat(str(context.record.get(key))) for key in ("started", "finished"))
        return (finished - started).total_seconds()
    except (ValueError, TypeError):  # not in the record, or one without a time zone
        return None


def _spoken(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
