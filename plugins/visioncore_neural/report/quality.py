"""Section: scores beside what is known of units from elsewhere."""

from __future__ import annotations

from visioncore_engine.report import ReportContext, Section, figure_html
from visioncore_neural.report.quality_figures import quality_figure
from visioncore_neural.report.rows import unit_rows

__all__ = ["section"]


def section(context: ReportContext) -> Section | None:
    """Scores against quality, depth and place; None where the table ``units`` holds scores alone."""
    units = unit_rows(context)
    figure = None if units is None else quality_figure(units.rows)
    if units is None or figure is None:
        return None
    caption = (
        f"Every dot is a unit, on the {units.split} split, against the columns of the table that the run names. Its "
        "mean waveforms, where it names any, lie in the folder of figures."
    )
    return Section("Quality of units", figure_html(figure, "Scores against quality, depth and place", caption), 105)
