"""The foot of the page: what trained, the resolved run, and what it was made with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from visioncore_engine.report.context import ReportContext
from visioncore_engine.report.section import Section, escape, mapping_html, note_html, table_html

__all__ = ["highlight_yaml", "record_section", "run_section", "trained_section"]

_ELSEWHERE = ("parameters", "warnings")  # other parts of the page show them
_FOLDED = ("components", "contracts", "files", "command", "profile")
_COLUMNS = {
    "engine": ("name", "version", "editable", "hash"),
    "plugins": ("name", "distribution", "version", "status", "used", "editable", "hash"),
    "components": ("key", "name", "plugin", "contract_version"),
}
_HASH = re.compile(r"(sha256:)?[0-9a-f]{32,}")
_LINE = re.compile(
    r"""(?P<indent>\s*(?:-\ )*)
        (?:(?P<key>[^\s#'"{\[][^:#]*|'[^']*'|"[^"]*"):(?=\s|$))?
        (?P<rest>.*)""",
    re.VERBOSE,
)
_SCALAR = re.compile(
    r"""(?P<comment>(?:^|(?<=\s))\#.*)
        |(?P<text>'[^']*'|"[^"]*")
        |(?P<value>\b(?:true|false|null)\b|(?<![\w.])-?\d[\d_.]*(?:e[+-]?\d+)?(?![\w.]))""",
    re.VERBOSE,
)


def trained_section(context: ReportContext) -> Section | None:
    """Parameter groups, with first and last rate; None where neither the record nor the log tells."""
    groups = context.record.get("parameters")
    body = mapping_html(groups) if groups else ""
    rates = {
        name.removeprefix("rate/"): curve for name, curve in context.logged.curves.items() if name.startswith("rate/")
    }
    if rates:
        rows = ([name, curve.values[0], max(curve.values), curve.values[-1]] for name, curve in rates.items())
        body += table_html(["parameter group", "first rate", "highest rate", "last rate"], rows)
    return Section("What trained", body, 900) if body else None


def run_section(context: ReportContext) -> Section:
    """Show the run as it was resolved, no default left implicit."""
    if not context.run_text:
        return Section("The run", note_html("The run folder holds no run.yaml."), 910)
    lines = context.run_text.count("\n")
    body = f"<details><summary>run.yaml, {lines} lines</summary><pre>{highlight_yaml(context.run_text)}</pre></details>"
    return Section("The run", body, 910)


def record_section(context: ReportContext) -> Section:
    """Plugins and versions, code, seeds, machine, data; the record itself has every hash in full."""
    if not context.record:
        return Section("Record", note_html("The run folder holds no readable record.json."), 920)
    shown = {key: _brief(value, _COLUMNS.get(key)) for key, value in context.record.items() if key not in _ELSEWHERE}
    body = mapping_html({key: value for key, value in shown.items() if not _is_nested(value)})
    for key, value in sorted(shown.items(), key=lambda item: item[0] in _FOLDED):
        title, part = escape(key.replace("_", " ")), mapping_html(value)
        if key in _FOLDED:
            body += f"<details><summary>{title}</summary>{part}</details>"
        elif _is_nested(value):
            body += f"<h3>{title}</h3>{part}"
    return Section("Record", body, 920)


def _is_nested(value: Any) -> bool:
    return isinstance(value, (Mapping, list)) and bool(value)


def _brief(value: Any, columns: tuple[str, ...] | None = None) -> Any:
    """Shorten hashes, and of rows keep the columns that a reader looks for."""
    if isinstance(value, Mapping):
        kept = {key: child for key, child in value.items() if columns is None or key in columns}
        return {key: _brief(child) for key, child in kept.items()}
    if isinstance(value, list):
        return [_brief(child, columns) for child in value]
    is_hash = isinstance(value, str) and _HASH.fullmatch(value)
    return f"{value.removeprefix('sha256:')[:12]}…" if is_hash else value


def highlight_yaml(text: str) -> str:
    """YAML as escaped HTML: keys, texts, numbers and comments in spans of their own."""
    return "\n".join("".join(_line(line)) for line in text.split("\n"))


def _line(line: str) -> Iterator[str]:
    found = _LINE.fullmatch(line)
    assert found is not None  # `rest` takes anything
    yield escape(found["indent"])
    if found["key"]:
        yield f'<span class="key">{escape(found["key"])}</span>:'
    rest, end = found["rest"], 0
    for scalar in _SCALAR.finditer(rest):
        yield escape(rest[end : scalar.start()])
        yield f'<span class="{scalar.lastgroup}">{escape(scalar[0])}</span>'
        end = scalar.end()
    yield escape(rest[end:])
