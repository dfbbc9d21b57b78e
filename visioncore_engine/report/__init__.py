"""The report of a run: one self-contained page.

A plugin adds a section by naming a function in `visioncore_report_sections`::

    def section(context: ReportContext) -> Section | None:
        rows = context.tables.get("cells")
        if rows is None:
            return None  # nothing to say about this run
        figure = new_figure(width=520, height=280)
        axes = figure.subplots()
        axes.hist(numbers(rows, "score"))
        return Section("Scores of cells", figure_html(figure, "Histogram of scores"), order=300)

Nothing here imports torch before a section asks for the model.
"""

from __future__ import annotations

from visioncore_engine.report.context import ReportContext, numbers
from visioncore_engine.report.figure import FAINT, INK, SERIES, drawing, figure_html, figure_png, new_figure
from visioncore_engine.report.page import write
from visioncore_engine.report.runs import RunOverview, differing, run_folders, run_overview
from visioncore_engine.report.section import Section, escape, format_value, mapping_html, note_html, table_html

__all__ = [
    "FAINT",
    "INK",
    "SERIES",
    "ReportContext",
    "RunOverview",
    "Section",
    "differing",
    "drawing",
    "escape",
    "figure_html",
    "figure_png",
    "format_value",
    "mapping_html",
    "new_figure",
    "note_html",
    "numbers",
    "run_folders",
    "run_overview",
    "table_html",
    "write",
]
