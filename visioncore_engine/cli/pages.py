"""A page of reference for each kind, in Markdown, from what plugins declare. Torch-free."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from visioncore_engine.cli.contract import attributes_of, text_of
from visioncore_engine.cli.show import as_json, home_of, option_of, written
from visioncore_engine.component import KINDS, Kind, resolve_address
from visioncore_engine.config.classes import options_class
from visioncore_engine.config.words import models_in
from visioncore_engine.options import Slot, slots
from visioncore_engine.registry import Entry, Registry

__all__ = ["pages"]


def pages(registry: Registry, plugins: Sequence[str], command: str) -> dict[str, str]:
    """Write the pages.

    Parameters
    ----------
    registry
        What is installed.
    plugins
        Plugins whose components are described; by default all.
    command
        What writes the pages again: it stands on each of them.

    Returns
    -------
    Text by file name: ``README.md``, and ``<kind>.md`` for each kind.
    """
    chosen: dict[str, list[Entry]] = {name: [] for name in KINDS}
    for entry in registry.entries:
        if not entry.refused and (not plugins or entry.plugin.name in plugins):
            chosen[entry.kind].append(entry)
    mark = f"<!-- Written by `{command}` from the declarations: change those, not this page. -->"
    texts = {"README.md": _overview(registry, chosen)}
    texts |= {f"{name}.md": _page(registry, KINDS[name], entries) for name, entries in chosen.items()}
    return {path: f"{mark}\n\n" + "\n".join(lines) + "\n" for path, lines in texts.items()}


def _overview(registry: Registry, chosen: Mapping[str, Sequence[Entry]]) -> list[str]:
    rows = [
        (f"[{name}]({name}.md)", _key(registry, name), KINDS[name].summary, ", ".join(f"`{e.name}`" for e in entries))
        for name, entries in chosen.items()
    ]
    text = "One page for each kind of component: its contract, and every component with its options."
    return ["# Components", "", text, "", *_table(("kind", "key in a run file", "what it does", "components"), rows)]


def _page(registry: Registry, kind: Kind, entries: Sequence[Entry]) -> list[str]:
    shared = resolve_address(kind.options)
    lines = [f"# {kind.plural.capitalize()}", "", f"{kind.summary[0].upper()}{kind.summary[1:]}."]
    lines += [f"In a run file: {_key(registry, kind.name)}.", "", "## Contract", "", *_contract(kind)]
    if shared.model_fields:
        lines += ["", f"## Options of every {kind.name}", "", *_options(shared, ())]
    for entry in entries:
        lines += ["", *_component(registry, entry, tuple(shared.model_fields))]
    return lines


def _key(registry: Registry, kind: str) -> str:
    path, _ = home_of(registry, kind)
    return f"`{'.'.join(path)}`"


def _contract(kind: Kind) -> Iterator[str]:
    facts, returned = kind.facts.partition(":")[2], kind.returns.partition(":")[2]
    yield f"Version {kind.version}. {_hook_text(kind.hook)}"
    yield ""
    yield "```text"
    yield f"{kind.hook}()"
    yield f"build(options, facts: {facts}) -> {returned}"
    yield "```"
    for name in (facts, returned):
        rows = [(f"`{attribute}`", text) for attribute, text in attributes_of(name)]
        if rows:
            yield from ("", f"### {name}", "", *_paragraphs(text_of(name)), "", *_table(("", ""), rows))


def _component(registry: Registry, entry: Entry, shared: Sequence[str]) -> Iterator[str]:
    model, told = options_class(entry), as_json(registry, entry)
    yield f"## {entry.name}"
    yield ""
    logs = f" Logs {', '.join(f'`{name}`' for name in told['logs'])}." if told["logs"] else ""
    former = f" Formerly {', '.join(f'`{name}`' for name in told['former_names'])}." if told["former_names"] else ""
    yield f"{told['summary'][0].upper()}{told['summary'][1:]}. Plugin `{told['plugin']}`.{logs}{former}"
    if set(model.model_fields) - set(shared):
        yield from ("", *_options(model, shared))
    yield from ("", "```yaml", *told["example"].splitlines(), "```")


def _options(model: type[BaseModel], leave_out: Sequence[str]) -> list[str]:
    rows = [row for row in _rows(model, "") if row[0].strip("`").partition(".")[0] not in leave_out]
    return _table(("option", "value", "default", "what it does"), rows)


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    found = slots(model)
    for name, field in model.model_fields.items():
        inner = _nested(field, found.get(name))
        if inner is not None:
            yield from _rows(inner, f"{prefix}{name}.")
            continue
        option = option_of(name, field, found.get(name))
        yield f"`{prefix}{name}`", option["allowed"], _default(option, found.get(name)), option["description"]


def _default(option: Mapping[str, Any], slot: Slot | None) -> str:
    if option["required"]:
        return "required"
    default = option["default"]
    if slot is not None and not slot.many and default:
        (default,) = default  # the one component that stands in
    return f"`{written(default)}`"


def _nested(field: FieldInfo, slot: Slot | None) -> type[BaseModel] | None:
    """Model whose options are told one by one, in the place of a mapping that always has them."""
    models = models_in(field.annotation)
    alone = len(models) == 1 and field.annotation is models[0]
    return models[0] if alone and slot is None else None


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells)]


def _paragraphs(text: str) -> list[str]:
    """Docstring in Markdown, up to its first section."""
    body = text.partition("\n\nAttributes\n")[0].partition("\n\nParameters\n")[0]
    return body.replace("``", "`").splitlines()


@cache
def _hook_texts() -> Mapping[str, str]:
    spec = importlib.util.find_spec("visioncore_engine.hookspecs")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    return {node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, ast.FunctionDef)}


def _hook_text(hook: str) -> str:
    """First line of a hook's docstring."""
    return _hook_texts()[hook].partition("\n")[0].replace("``", "`")
