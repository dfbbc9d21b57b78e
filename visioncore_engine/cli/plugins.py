"""List plugins, broken and blocked ones too, and the components that they provide."""

from __future__ import annotations

import argparse
import json
from typing import Any

from visioncore_engine.cli.layout import columns, paragraph
from visioncore_engine.cli.parser import add_plugins, example, registry_of
from visioncore_engine.component import KINDS
from visioncore_engine.registry import Entry, Plugin, Registry

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="print everything as JSON, for machines")
    add_plugins(parser)
    example(parser, "visioncore plugins", "visioncore plugins --plugin ./my_lab.py --json")


def run(arguments: argparse.Namespace) -> int:
    """Print the list."""
    registry = registry_of(arguments)
    if arguments.json:
        print(json.dumps(as_json(registry), indent=2))
        return 0
    lines: list[str] = []
    for kind in KINDS.values():
        entries = [entry for entry in registry.entries if entry.kind == kind.name]
        if entries:
            lines += [
                *paragraph(f"{kind.plural} - {kind.summary}", 0),
                *columns(_row(registry, entry) for entry in entries),
                "",
            ]
    lines += ["plugins", *columns((plugin.name, _origin(plugin), _state(plugin)) for plugin in registry.plugins)]
    if not registry.plugins:
        lines += paragraph("none is installed; pip install a package with an entry point in 'visioncore_engine'")
    print("\n".join(lines))
    return 0


def as_json(registry: Registry) -> dict[str, Any]:
    """Everything that the registry knows, as plain values."""
    return {
        "plugins": [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "module": plugin.module,
                "source": plugin.source,
                "editable": plugin.editable,
                "status": plugin.status,
                "error": plugin.error,
                "warnings": list(plugin.warnings),
            }
            for plugin in registry.plugins
        ],
        "components": [
            {
                "kind": entry.kind,
                "name": entry.name,
                "reference": entry.reference,
                "plugin": entry.plugin.name,
                "distribution": entry.plugin.distribution,
                "version": entry.component.version,
                "summary": entry.component.summary,
                "status": _status(registry, entry),
                "refused": entry.refused,
            }
            for entry in registry.entries
        ],
        "commands": [
            {"name": item.value.name, "plugin": item.plugin.name, "summary": item.value.summary}
            for item in registry.commands()
        ],
    }


def _status(registry: Registry, entry: Entry) -> str:
    if entry.refused:
        return "refused"
    return "ambiguous" if len(registry.candidates(entry.kind, entry.name)) > 1 else "usable"


def _row(registry: Registry, entry: Entry) -> tuple[str, str]:
    status = _status(registry, entry)
    if status == "refused":
        return entry.name, f"REFUSED: {entry.plugin}: {entry.refused}"
    if status == "ambiguous":
        return entry.name, f"AMBIGUOUS, write {entry.reference}: {entry.component.summary}"
    return entry.name, f"{entry.component.summary} ({entry.plugin.name})"


def _origin(plugin: Plugin) -> str:
    return f"{plugin.distribution} {plugin.version}{' (editable)' if plugin.editable else ''}".strip() or "single file"


def _state(plugin: Plugin) -> str:
    if plugin.status == "broken":
        return f"BROKEN: {plugin.error}"
    return ", ".join([plugin.status, *(f"WARNING: {warning}" for warning in plugin.warnings)])
