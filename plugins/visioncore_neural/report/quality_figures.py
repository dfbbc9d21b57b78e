"""Figures of scores beside what is known of units from elsewhere: quality, depth, place on the probe, waveforms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from visioncore_engine.report import INK, SERIES, new_figure, numbers
from visioncore_neural.evaluators.names import DEPTH, LAYER_4, SCORES, TAKEN, WAVEFORM

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["quality_columns", "quality_figure", "shown_score", "waveform_figure"]

_COLUMNS = 4  # of panels
_NUM_SESSIONS = 6  # that have a panel each
_NUM_UNITS = 6  # best, and worst, whose waveforms are drawn
_PLACES = ("x", "y", DEPTH)
_LAYER = "#e69f00"

Rows = Sequence[Mapping[str, Any]]


def quality_columns(rows: Rows) -> tuple[str, ...]:
    """Columns of the table ``units`` that came from elsewhere and say something of at least one unit."""
    names = [name for name in (rows[0] if rows else ()) if name not in TAKEN or name in WAVEFORM]
    return tuple(name for name in names if not np.isnan(numbers(rows, name)).all())


def shown_score(rows: Rows) -> str:
    """Score that is drawn: the first that any unit has."""
    return next((name for name in SCORES if not np.isnan(numbers(rows, name)).all()), SCORES[0])


def quality_figure(rows: Rows) -> Figure | None:
    """Score against each column, by depth and over the probe; None where no unit has a value.

    A column is a panel. Depths and places (`x`, and `y` or else `depth`) have a panel per session, six at most; the
    band is layer 4.

    Parameters
    ----------
    rows
        Of the table ``units``, as numbers or as texts.
    """
    names, score = quality_columns(rows), shown_score(rows)
    panels: list[Callable[[Axes], None]] = [
        partial(_scatter, rows=rows, name=name, score=score) for name in names if name not in _PLACES
    ]
    for session in _sessions(rows)[:_NUM_SESSIONS]:
        own = [row for row in rows if row["session"] == session]
        if DEPTH in names:
            panels.append(partial(_by_depth, rows=own, session=session, score=score))
        if "x" in names and ("y" in names or DEPTH in names):
            panels.append(partial(_probe, rows=own, session=session, score=score, down="y" if "y" in names else DEPTH))
    if not panels:
        return None
    num_rows = -(-len(panels) // _COLUMNS)
    figure = new_figure(1060, 270 * num_rows)
    axes = figure.subplots(num_rows, _COLUMNS, squeeze=False).flatten()
    for one in axes[len(panels) :]:
        one.set_axis_off()
    for panel, one in zip(panels, axes, strict=False):
        panel(one)
    return figure


def waveform_figure(rows: Rows, waveforms: Mapping[str, np.ndarray]) -> Figure | None:
    """Mean waveforms of the best units of each session above those of the worst; None where there are none.

    Parameters
    ----------
    rows
        Of the table ``units``, in the order of each session's units.
    waveforms
        Per session, (N, S): each is drawn at a height of its own scale.
    """
    sessions = [name for name in _sessions(rows) if name in waveforms][:_NUM_SESSIONS]
    if not sessions:
        return None
    score = shown_score(rows)
    figure = new_figure(1060, 200 * len(sessions))
    panels = figure.subplots(len(sessions), 1, squeeze=False).flatten()
    for axes, session in zip(panels, sessions, strict=True):
        own = [row for row in rows if row["session"] == session]
        for row, word, chosen in zip((1, 0), ("best", "worst"), _ends(numbers(own, score)), strict=True):
            axes.text(-0.1, row, word, ha="right", va="center")
            for place, unit in enumerate(chosen):
                shape = waveforms[session][unit]
                shape = 0.6 * (shape - shape.min()) / (np.ptp(shape) or 1.0) - 0.3
                axes.plot(place + np.linspace(0, 0.9, len(shape)), row + shape, color=SERIES[row], linewidth=1.5)
                label = f"{own[unit]['unit']}: {numbers(own, score)[unit]:z.2f}"
                axes.text(place + 0.45, row + 0.4, label, ha="center", fontsize=10)
        axes.set(title=session, xlim=(-0.6, _NUM_UNITS), ylim=(-0.4, 1.6))
        axes.set_axis_off()
    return figure


def _ends(scores: np.ndarray) -> tuple[list[int], list[int]]:
    """Units with the best scores and with the worst, none in both."""
    order = [int(unit) for unit in np.argsort(-scores, kind="stable") if not np.isnan(scores[unit])]
    num = min(_NUM_UNITS, -(-len(order) // 2))
    return order[:num], order[num:][-_NUM_UNITS:][::-1]


def _sessions(rows: Rows) -> list[str]:
    return list(dict.fromkeys(str(row["session"]) for row in rows))


def _scatter(axes: Axes, *, rows: Rows, name: str, score: str) -> None:
    sessions = np.array([row["session"] for row in rows])
    for place, session in enumerate(_sessions(rows)):
        own = sessions == session
        colour, label = SERIES[place % len(SERIES)], session if place < _NUM_SESSIONS else None
        axes.plot(
            numbers(rows, name)[own],
            numbers(rows, score)[own],
            "o",
            color=colour,
            label=label,
            markersize=5,
            markeredgewidth=0,
            alpha=0.7,
        )
    axes.set(xlabel=name.replace("_", " "), ylabel=score.replace("_", " "))
    if len(_sessions(rows)) > 1:
        axes.legend(handletextpad=0.1)


def _by_depth(axes: Axes, *, rows: Rows, session: str, score: str) -> None:
    low, high = (numbers(rows, name)[0] for name in LAYER_4)
    if not np.isnan(low):
        axes.axhspan(low, high, color=_LAYER, alpha=0.25, linewidth=0)
        axes.annotate("layer 4", (1.0, (low + high) / 2), xycoords=("axes fraction", "data"), ha="right", va="center")
    axes.plot(numbers(rows, score), numbers(rows, DEPTH), "o", color=SERIES[0], markersize=5, markeredgewidth=0)
    axes.axvline(0.0, color=INK, linewidth=0.8)
    axes.invert_yaxis()
    axes.set(title=f"{session}: depth", xlabel=score.replace("_", " "), ylabel=DEPTH)


def _probe(axes: Axes, *, rows: Rows, session: str, score: str, down: str) -> None:
    values = numbers(rows, score)
    dots = axes.scatter(numbers(rows, "x"), numbers(rows, down), c=values, cmap="viridis", s=36, edgecolors=INK)
    if down == DEPTH:
        axes.invert_yaxis()
    bar = axes.get_figure().colorbar(dots, ax=axes)  # type: ignore[union-attr]  # axes are in a figure here
    bar.set_label(score.replace("_", " "))
    axes.set(title=f"{session}: probe", xlabel="x", ylabel=down)
