"""Section: how far back the model and its stages look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from visioncore_engine.report import SERIES, ReportContext, Section, figure_html, new_figure, note_html
from visioncore_neural.analysis.influence import Influence, influence_by_lag
from visioncore_neural.report.rows import unit_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["section"]

_NUM_WINDOWS = 16
_CAPTION = (
    "Share of each lag in what moves the last predicted frame: squared derivatives, summed over channels, pixels and "
    "windows; a line per stage with respect to what reaches it, and the whole model with respect to the stimulus."
)


def section(context: ReportContext) -> Section | None:
    """Shares by lag; None for a run without the table ``units``, or a model in which nothing has an influence."""
    units = unit_rows(context)
    if units is None:
        return None
    evaluation = context.evaluation(units.split)
    model: Any = evaluation.model
    sources = [source for source in evaluation.dataset.sources(evaluation.split, model.history) if source.num_items]
    if not sources:
        return None
    items = np.unique(np.linspace(0, sources[0].num_items - 1, _NUM_WINDOWS).astype(np.int64))
    like = next(model.parameters())
    found = influence_by_lag(model, sources[0].gather(items).to(like.device, like.dtype))
    found = [one for one in found if np.isfinite(one.shares).all()]
    if not found:
        return None
    group = sources[0].group
    body = figure_html(_figure(found, group.dt, model.history), "Influence by lag", _CAPTION)
    return Section(
        "Influence by lag", body + note_html(f"On windows of {group.name}. {_summary(found, group.dt)}"), 150
    )


def _figure(found: Sequence[Influence], dt: float | None, history: int) -> Figure:
    figure = new_figure(1060, 300)
    axes = figure.subplots()
    for index, one in enumerate(found):
        shares = one.shares[: history + 1]
        lags = np.arange(len(shares)) * ((dt or 0.0) * 1000 or 1.0)
        whole = one.name == "model"
        colour = "0.2" if whole else SERIES[index % len(SERIES)]
        axes.plot(lags, shares, color=colour, linewidth=2.0 if whole else 1.3, marker="o", markersize=3, label=one.name)
    axes.set(xlabel="lag (ms)" if dt else "lag (frames)", ylabel="share of influence")
    axes.set_ylim(bottom=0.0)
    axes.legend()
    return figure


def _summary(found: Sequence[Influence], dt: float | None) -> str:
    """Where half of the influence lies, in words."""
    parts = []
    for one in found:
        half = int(np.searchsorted(np.cumsum(one.shares), 0.5))
        lag = f"{half * dt * 1000:.0f} ms" if dt else f"{half} frames"
        parts.append(f"{one.name}: half of it within {lag}, {one.shares[0]:.0%} in the frame itself")
    return "; ".join(parts) + "."
