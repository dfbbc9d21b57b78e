"""Section: predicted against observed rates of the best and the worst units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from visioncore_engine.contracts import GroupSpec
from visioncore_engine.report import FAINT, INK, SERIES, ReportContext, Section, figure_html, new_figure
from visioncore_neural.analysis.traces import Trace, predicted_trace, smoothed
from visioncore_neural.report.rows import UnitRows, unit_rows
from visioncore_neural.responses import response_task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["section"]

_NUM_UNITS = 3  # best, and as many worst
_SECONDS = 8.0
_WIDTH = 0.04  # seconds, standard deviation of the smoothing of both


def section(context: ReportContext) -> Section | None:
    """Rates over a stretch of held-out data; None for a run without the table ``units``, or without a scored unit."""
    units = unit_rows(context)
    ranked = [] if units is None else units.ranked()
    if units is None or not ranked:
        return None
    best = ranked[:_NUM_UNITS]
    worst = [row for row in ranked[-_NUM_UNITS:] if row not in best]
    evaluation = context.evaluation(units.split)
    groups = {group.name: group for group in evaluation.dataset.groups}
    wanted = dict.fromkeys(units.rows[row]["session"] for row in (*best, *worst))
    traces = {name: predicted_trace(evaluation, groups[name]) for name in wanted}
    figure = new_figure(1060, 140 + 130 * _NUM_UNITS)
    panels = figure.subplots(_NUM_UNITS, 2, squeeze=False)
    for column, chosen in enumerate((best, worst)):
        for line in range(_NUM_UNITS):
            if line < len(chosen):
                group = groups[units.rows[chosen[line]]["session"]]
                _panel(panels[line, column], units, chosen[line], traces[group.name], group)
            else:
                panels[line, column].set_axis_off()
    panels[-1, 0].set_xlabel("time (s)")
    panels[-1, 1].set_xlabel("time (s)")
    panels[0, 0].legend(loc="upper right", ncols=2)
    caption = (
        f"Left the best, right the worst units by bits per spike, on the longest stretch of the {units.split} split. "
        f"Both are smoothed by a Gaussian of {_WIDTH * 1000:.0f} ms; gaps are frames that do not count."
    )
    alt = "Predicted and observed rates over time: best units on the left, worst on the right"
    return Section("Predicted and observed rates", figure_html(figure, alt, caption), 120)


def _panel(axes: Axes, units: UnitRows, row: int, trace: Trace, group: GroupSpec) -> None:
    name = units.rows[row]["unit"]
    column = response_task(group)[1].ids.index(name)
    dt = group.dt or 1.0
    stretch = trace.longest_stretch(max(round(_SECONDS / dt), 2))
    seconds = (trace.frames[stretch] - trace.frames[stretch.start]) * dt
    observed = smoothed(trace.responses[stretch, column], _WIDTH / dt) / dt
    predicted = smoothed(trace.rates[stretch, column], _WIDTH / dt) / dt
    axes.fill_between(seconds, 0, observed, color=FAINT, linewidth=0, alpha=0.75, label="observed")
    axes.plot(seconds, predicted, color=SERIES[0], linewidth=1.4, label="predicted")
    axes.set_xlim(0, seconds[-1])
    axes.set_ylim(0, None)
    axes.set_ylabel("spikes/s")
    axes.set_title(f"{group.name} {name}: {units.scores()[row]:z.2f} bits per spike", fontsize=12, color=INK)
    axes.locator_params(axis="y", nbins=4)
    if np.isnan(observed).all():
        axes.annotate("no valid frame here", (0.5, 0.5), xycoords="axes fraction", ha="center", color=INK)
