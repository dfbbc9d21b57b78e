"""From a run folder to one page that needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path

from visioncore_engine.errors import Problem, UsageError
from visioncore_engine.folder import write_text
from visioncore_engine.registry import Declared, Registry, describe_error
from visioncore_engine.report.context import ReportContext
from visioncore_engine.report.curves import curves_section
from visioncore_engine.report.figure import drawing
from visioncore_engine.report.overview import header_html, run_name, scores_section
from visioncore_engine.report.provenance import record_section, run_section, trained_section
from visioncore_engine.report.section import Section, escape, note_html

__all__ = ["write"]

_OWN: tuple[Callable[[ReportContext], Section | None], ...] = (
    scores_section,
    curves_section,
    trained_section,
    run_section,
    record_section,
)


def write(run_dir: str | Path, *, registry: Registry | None = None) -> Path:
    """Draw the report of a run: ``report.html`` in its folder, one page without scripts or addresses.

    What the folder lacks is said on the page; a section of a plugin that fails is shown as failed, with its error.

    Parameters
    ----------
    run_dir
        The run folder, of a finished or of a running run.
    registry
        Plugins whose sections are drawn; by default those that are installed and that the run does not block.

    Returns
    -------
    Path of the page.

    Raises
    ------
    UsageError
        Where there is no such folder.
    StorageError
        Where the page cannot be written.
    """
    folder = Path(run_dir)
    if not folder.is_dir():
        raise UsageError(Problem(what="there is no such run folder", where=str(folder)))
    context = ReportContext(folder, registry)
    with drawing():
        sections = [section for draw in _OWN if (section := draw(context)) is not None]
        sections += _contributed(context)
    sections.sort(key=lambda section: section.order)  # stable: of equal order, as plugins declare them
    path = folder / "report.html"
    write_text(path, _page(context, sections))
    return path


def _contributed(context: ReportContext) -> Iterable[Section]:
    for declared in context.registry.report_sections():
        section = _draw(declared, context)
        if section is not None:
            yield section


def _draw(declared: Declared[str], context: ReportContext) -> Section | None:
    try:
        section = declared.load()(context)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code may raise anything; it is shown
        return _failed(declared, describe_error(error))
    if section is not None and not isinstance(section, Section):
        return _failed(declared, f"it returned {type(section).__name__}, and must return a Section or None")
    return section


def _failed(declared: Declared[str], reason: str) -> Section:
    name = declared.value.partition(":")[2]
    text = f"The section {name!r} of plugin {declared.plugin} could not be drawn: {reason}"
    return Section(f"{name.replace('_', ' ')} (failed)", note_html(text, "error"), 890)


def _warnings(context: ReportContext) -> list[str]:
    warnings = context.record.get("warnings")
    return [*(warnings if isinstance(warnings, list) else ()), *context.problems]


def _page(context: ReportContext, sections: list[Section]) -> str:
    anchors = _anchors(sections)
    links = "".join(
        f'<a href="#{anchor}">{escape(section.title)}</a>' for anchor, section in zip(anchors, sections, strict=True)
    )
    bodies = "".join(
        f'<section id="{anchor}"><h2>{escape(section.title)}</h2>{section.html}</section>'
        for anchor, section in zip(anchors, sections, strict=True)
    )
    warnings = "".join(note_html(str(text), "warning") for text in _warnings(context))
    style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(run_name(context))} · report</title><style>\n{style}</style></head>\n"
        f"<body>{header_html(context)}<nav>{links}</nav><main>{warnings}{bodies}</main></body></html>\n"
    )


def _anchors(sections: list[Section]) -> list[str]:
    """Ids for the sections' headings, unique on the page."""
    return [
        f"{index}-{re.sub(r'[^a-z0-9]+', '-', section.title.lower()).strip('-')}"
        for index, section in enumerate(sections, start=1)
    ]
