"""Section: how well the units are predicted, per session and per subject."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from visioncore_engine.report import (
    INK,
    SERIES,
    ReportContext,
    Section,
    figure_html,
    new_figure,
    table_html,
)
from visioncore_neural.evaluators.names import SCORES
from visioncore_neural.report.rows import UnitRows, unit_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["section"]

# Title, and label of an axis or column.
_LABELS = {
    "bits_per_spike": ("Bits per spike", "bits per spike"),
    "single_trial_correlation": ("Correlation with single trials", "correlation"),
    "correlation_to_average": ("Correlation with the average of repeats", "correlation"),
    "feve": ("Fraction of explainable variance that is explained", "FEVE"),
    "oracle": ("Oracle: single responses against the other repeats", "correlation"),
    "cc_norm": ("Correlation with the average, over its ceiling", "CCnorm"),
}
_MANY = 24  # sessions whose names fit below an axis


def section(context: ReportContext) -> Section | None:
    """Distribution of the scores per session and subject; None for a run without the table ``units``."""
    units = unit_rows(context)
    if units is None:
        return None
    shown = [name for name in SCORES if not np.isnan(units.scores(name)).all()]
    body = _summary(units)
    for name in shown:
        alt = f"{_LABELS[name][0]} of every unit, by session and by subject"
        last = name == shown[-1]
        caption = f"Every dot is a unit, on the {units.split} split; bars are medians." if last else ""
        body += figure_html(_distribution(units, name), alt, caption)
    return Section("Scores of units", body, 100)


def _summary(units: UnitRows) -> str:
    subjects, sessions = np.array(units.column("subject")), np.array(units.column("session"))
    rows = []
    for subject in dict.fromkeys(subjects.tolist()):
        own = subjects == subject
        medians = [_median(units.scores(name)[own]) for name in SCORES]
        scored = int((~np.isnan(units.scores()[own])).sum())
        rows.append([subject or "unknown", len(set(sessions[own].tolist())), int(own.sum()), scored, *medians])
    heads = ["subject", "sessions", "units", "scored", *(f"median {name.replace('_', ' ')}" for name in SCORES)]
    return table_html(heads, rows)


def _median(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None


def _distribution(units: UnitRows, name: str) -> Figure:
    scores = units.scores(name)
    subjects, sessions = units.column("subject"), units.column("session")
    known_subjects = list(dict.fromkeys(subjects))
    colours = {subject: SERIES[i % len(SERIES)] for i, subject in enumerate(known_subjects)}
    owner = dict(zip(sessions, subjects, strict=True))
    figure = new_figure(1060, 300)
    widths = [max(len(owner), 3), max(len(known_subjects), 1.5)]
    left, right = figure.subplots(1, 2, width_ratios=widths, sharey=True)
    names = sorted(owner, key=lambda session: (owner[session], session))
    by_session = [scores[[session == one for session in sessions]] for one in names]
    _strips(left, by_session, [colours[owner[one]] for one in names])
    _label(left, names, "session")
    by_subject = [scores[[subject == one for subject in subjects]] for one in known_subjects]
    _violins(right, by_subject, [colours[one] for one in known_subjects])
    _label(right, known_subjects, "subject")
    left.set_title(_LABELS[name][0])
    left.set_ylabel(_LABELS[name][1])
    _limit(left, scores, right)
    return figure


def _strips(axes: Axes, groups: Sequence[np.ndarray], colours: Sequence[str]) -> None:
    for place, (values, colour) in enumerate(zip(groups, colours, strict=True)):
        known = np.sort(values[~np.isnan(values)])
        # Neighbours in value stand apart; nothing is drawn at random, so that a report is the same every time.
        spread = ((np.arange(len(known)) * 0.618034 + 0.5) % 1 - 0.5) * 0.55
        size = 5 if len(known) > 50 else 6
        crowd = len(known) > 2000
        axes.plot(place + spread, known, "o", color=colour, ms=size, alpha=0.65, mew=0, zorder=3, rasterized=crowd)
        _bar(axes, place, known)


def _violins(axes: Axes, groups: Sequence[np.ndarray], colours: Sequence[str]) -> None:
    for place, (values, colour) in enumerate(zip(groups, colours, strict=True)):
        known = values[~np.isnan(values)]
        if len(known) > 2 and known.std() > 0:
            parts = axes.violinplot([known], [place], widths=0.8, showextrema=False, bw_method=0.3)
            for body in parts["bodies"]:  # type: ignore[attr-defined]  # a list of polygons, which the stubs do not say
                body.set(facecolor=colour, edgecolor="none", alpha=0.45)
        _bar(axes, place, known)


def _bar(axes: Axes, place: float, known: np.ndarray) -> None:
    if len(known):
        axes.plot([place - 0.32, place + 0.32], [np.median(known)] * 2, color=INK, linewidth=2.4)


def _label(axes: Axes, names: Sequence[str], word: str) -> None:
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.grid(visible=False, axis="x")
    if len(names) > _MANY:
        axes.set_xticks([])
        axes.set_xlabel(f"{len(names)} {word}s")
        return
    crowded = sum(map(len, names)) > 100
    axes.set_xticks(range(len(names)), names, rotation=30 if crowded else 0, ha="right" if crowded else "center")
    axes.set_xlabel(word)


def _limit(axes: Axes, scores: np.ndarray, beside: Axes) -> None:
    """Keep single units far below 0 from squeezing all others; they are marked at the edge."""
    known = scores[~np.isnan(scores)]
    low, high = float(known.min()), float(known.max())
    floor = max(low, float(np.median(known)) - 4 * float(np.subtract(*np.quantile(known, [0.75, 0.25])) or 1.0))
    margin = 0.06 * (high - floor) or 0.1
    axes.set_ylim(floor - margin, high + margin)
    for one in (axes, beside):
        one.axhline(0.0, color=INK, linewidth=0.8)
    below = int((known < floor).sum())
    if below:
        axes.plot([axes.get_xlim()[0] + 0.1], [floor - 0.5 * margin], "v", color=INK, markersize=6)
        axes.annotate(
            f"{below} below",
            (axes.get_xlim()[0] + 0.1, floor - 0.5 * margin),
            xytext=(8, -3),
            textcoords="offset points",
        )
