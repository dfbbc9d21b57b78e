"""Section: temporal filters of the core."""

from __future__ import annotations

from typing import Any

import numpy as np

from visioncore_engine.report import SERIES, ReportContext, Section, figure_html, new_figure
from visioncore_neural.analysis.parts import TemporalKernels, temporal_kernels
from visioncore_neural.report.rows import unit_rows

__all__ = ["section"]


def section(context: ReportContext) -> Section | None:
    """Show what `learnable_temporal` stages weigh at which lag; None for a run without units or such a stage."""
    if unit_rows(context) is None:
        return None
    trained: Any = context.model
    dt = next(iter(trained.groups.values())).dt
    stages = temporal_kernels(trained.model)
    if not stages:
        return None
    return Section("Temporal kernels", "".join(_figure(stage, dt) for stage in stages), 160)


def _figure(stage: TemporalKernels, dt: float | None) -> str:
    figure = new_figure(1060, 300)
    axes = figure.subplots()
    num_filters, num_channels, num_frames = stage.weights.shape
    lags = np.arange(num_frames)[::-1] * ((dt or 0.0) * 1000 or 1.0)
    for number in range(num_filters):
        for channel in range(num_channels):
            axes.plot(
                lags,
                stage.weights[number, channel],
                color=SERIES[number % len(SERIES)],
                linestyle=("-", "--", ":", "-.")[(number // len(SERIES) + channel) % 4],
                marker="o",
                markersize=3,
                label=f"filter {number}" + (f", channel {channel}" if num_channels > 1 else ""),
            )
    axes.axhline(0.0, color="0.5", linewidth=0.8)
    axes.set(title=stage.name, xlabel="lag (ms)" if dt else "lag (frames)", ylabel="weight (per frame)")
    if num_filters * num_channels <= 24:
        axes.legend(ncols=2)
    caption = "Weight that a filter gives to what was seen so long ago; one line per filter and input channel."
    return figure_html(figure, f"Temporal filters of {stage.name}", caption)
