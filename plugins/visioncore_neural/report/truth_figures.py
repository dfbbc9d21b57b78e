"""Figure of what was recovered of simulated units, for the report and for the evaluator's picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from visioncore_engine.report import FAINT, INK, SERIES, new_figure, numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["truth_figure"]


def truth_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Centres, errors and correlations of simulated units.

    Parameters
    ----------
    rows
        Of the table ``ground_truth``, as numbers or as texts.
    """
    kinds = [str(row.get("kind", "")) for row in rows]
    colours = dict(zip(dict.fromkeys(kinds), SERIES, strict=False))
    figure = new_figure(1060, 350)
    places, errors, ratios = figure.subplots(1, 3)
    _centres(places, rows, kinds, colours)
    _errors(errors, rows, kinds, colours)
    _ratios(ratios, rows, kinds, colours)
    return figure


def _centres(axes: Axes, rows: Sequence[Mapping[str, Any]], kinds: list[str], colours: Mapping[str, str]) -> None:
    true = np.stack([numbers(rows, "true_column"), numbers(rows, "true_row")])
    found = np.stack([numbers(rows, "column"), numbers(rows, "row")])
    axes.plot(np.stack([true[0], found[0]]), np.stack([true[1], found[1]]), color=FAINT, linewidth=1.2)
    axes.plot(*true, "o", color=INK, markersize=7, markerfacecolor="none", markeredgewidth=0.9, label="true")
    for kind, colour in colours.items():
        own = _of(kinds, kind)
        axes.plot(*found[:, own], "o", color=colour, markersize=4.5, markeredgewidth=0, label=f"{kind}, recovered")
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set(title="Receptive-field centres", xlabel="column (pixels)", ylabel="row (pixels)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3, handletextpad=0.1, columnspacing=0.8)


def _errors(axes: Axes, rows: Sequence[Mapping[str, Any]], kinds: list[str], colours: Mapping[str, str]) -> None:
    errors = numbers(rows, "error")
    known = errors[~np.isnan(errors)]
    top = max(3.0, float(np.ceil(min(known.max(initial=0.0), 12.0))))
    edges = np.linspace(0, top, round(top * 5) + 1).tolist()
    own = [np.clip(errors[_of(kinds, kind)], None, top) for kind in colours]
    axes.hist([values[~np.isnan(values)] for values in own], edges, stacked=True, color=list(colours.values()))
    median = float(np.median(known)) if len(known) else float("nan")
    axes.axvline(median, color=INK, linewidth=1.6)
    axes.annotate(f" median {median:.2f}", (median, 1.0), xycoords=("data", "axes fraction"), va="top", color=INK)
    axes.set(title="Error of the centre", xlabel="distance (pixels)", ylabel="units")


def _ratios(axes: Axes, rows: Sequence[Mapping[str, Any]], kinds: list[str], colours: Mapping[str, str]) -> None:
    best, reached = numbers(rows, "true_correlation"), numbers(rows, "correlation")
    for kind, colour in colours.items():
        own = _of(kinds, kind)
        axes.plot(best[own], reached[own], "o", color=colour, markersize=5, markeredgewidth=0, alpha=0.8)
    top = float(np.nanmax(np.concatenate([best, reached, [0.1]]))) * 1.08
    low = min(0.0, float(np.nanmin(np.concatenate([reached, [0.0]]))) * 1.08)
    axes.plot([0, top], [0, top], color=INK, linewidth=1)
    axes.set(xlim=(0, top), ylim=(low, top))
    ratios = numbers(rows, "ratio")
    mean = float(np.nanmean(ratios)) if not np.isnan(ratios).all() else float("nan")
    axes.annotate(f" mean ratio {mean:.3f}", (0, 1), xycoords="axes fraction", va="top", color=INK)
    axes.set(title="Correlation with the spikes", xlabel="of the true rate", ylabel="of the predicted rate")


def _of(kinds: list[str], kind: str) -> np.ndarray:
    return np.array([one == kind for one in kinds], dtype=bool)
