"""Section: what was recovered of simulated units."""

from __future__ import annotations

import numpy as np

from visioncore_engine.report import ReportContext, Section, figure_html, numbers, table_html
from visioncore_neural.report.rows import table_rows
from visioncore_neural.report.truth_figures import truth_figure

__all__ = ["section"]


def section(context: ReportContext) -> Section | None:
    """Compare with the simulation; None for a run without the table ``ground_truth``."""
    found = table_rows(context, "ground_truth")
    if found is None:
        return None
    split, rows = found
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    summary = []
    for kind in [*kinds, "all"]:
        own = [row for row in rows if kind in ("all", row["kind"])]
        errors, ratios = numbers(own, "error"), numbers(own, "ratio")
        within = [float((errors <= limit).mean()) for limit in (1.0, 2.0)]
        mean = float(np.nanmean(ratios)) if not np.isnan(ratios).all() else None
        summary.append([kind, len(own), float(np.median(np.where(np.isnan(errors), np.inf, errors))), *within, mean])
    heads = [
        "units",
        "number",
        "median error (pixels)",
        "within 1 pixel",
        "within 2 pixels",
        "mean ratio of correlations",
    ]
    body = table_html(heads, summary)
    caption = (
        "The data were simulated, so the truth is known. Centres are recovered from the trained model alone, as the "
        f"place where its predicted rate is most sensitive to the input, on the {split} split. On the right, what a "
        "unit's prediction reaches against what its true rate reaches on the same spikes."
    )
    body += figure_html(truth_figure(rows), "True and recovered centres, their distances, and correlations", caption)
    return Section("Ground truth", body, 110)
