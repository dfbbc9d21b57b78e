"""The picture of a comparison: scores against each other, and their differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from visioncore_engine.report import FAINT, INK, SERIES, new_figure
from visioncore_neural.comparison.pair import Pair

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["comparison_figure"]

_BINS = 30


def comparison_figure(pairs: Sequence[Pair], metric: str) -> Figure:
    """Draw a row for each comparison: on the left a point per unit, on the right the histogram of differences.

    Parameters
    ----------
    pairs
        The comparisons.
    metric
        Name of the score, for the axes.
    """
    word = metric.replace("_", " ")
    figure = new_figure(width=900, height=340 * len(pairs))
    axes = figure.subplots(len(pairs), 2, squeeze=False)
    for (left, right), pair in zip(axes, pairs, strict=True):
        _scatter(left, pair, word)
        _differences(right, pair, word)
    return figure


def _scatter(axes: Axes, pair: Pair, word: str) -> None:
    low = float(min(pair.scores.min(), pair.baseline_scores.min()))
    high = float(max(pair.scores.max(), pair.baseline_scores.max()))
    margin = 0.05 * (high - low) or 0.1
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=FAINT, linewidth=1.2, zorder=1)
    axes.plot(pair.baseline_scores, pair.scores, ".", color=SERIES[0], markersize=5, alpha=0.6, zorder=2)
    axes.set(xlim=limits, ylim=limits, xlabel=f"{word}, {pair.baseline}", ylabel=f"{word}, {pair.name}")
    axes.set_title(f"better in {pair.wins:.0%} of {len(pair.keys)} units")
    axes.set_aspect("equal")


def _differences(axes: Axes, pair: Pair, word: str) -> None:
    low, high = pair.interval
    differences = pair.differences
    reach = max(float(np.ptp(differences)) / 2, 1e-6 * float(np.abs(pair.scores).max()), 1e-12)  # all may be equal
    centre = (float(differences.min()) + float(differences.max())) / 2
    num_bins = min(_BINS, 2 * max(3, int(np.sqrt(len(differences)))))
    axes.hist(differences, bins=num_bins, range=(centre - reach, centre + reach), color=SERIES[0], alpha=0.6)
    axes.axvline(0.0, color=INK, linewidth=0.8)
    axes.axvline(pair.mean, color=SERIES[1])
    axes.axvspan(low, high, color=SERIES[1], alpha=0.25, linewidth=0)
    axes.set(xlabel=f"difference in {word}", ylabel="units")
    axes.set_title(f"mean {pair.mean:+.4g}, 95 % {low:+.4g} to {high:+.4g}")
