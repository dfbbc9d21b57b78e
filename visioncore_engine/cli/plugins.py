"""List plugins, broken and blocked ones too, and the components that they provide."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from visioncore_engine.cli.layout import columns, paragraph
from visioncore_engine.cli.parser import add_plugins, example, registry_of, sets_of
from visioncore_engine.component import KINDS
from visioncore_engine.errors import Problem, UsageError
from visioncore_engine.registry import Entry, Plugin, Registry, to_text

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="print everything as JSON, for machines")
    parser.add_argument(
        "--write-lock",
        metavar="FILE",
        help="write the plugins that are loaded, with versions and hashes, for plugins.lock",
    )
    parser.add_argument("--used-by", metavar="RUN.yaml", help="lock only the plugins that this run uses")
    add_plugins(parser)
    example(
        parser,
        "visioncore plugins",
        "visioncore plugins --plugin ./my_lab.py --json",
        "visioncore plugins --write-lock plugins.lock --used-by configs/demo.yaml",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the list, or write a lock."""
    if arguments.write_lock:
        return _write_lock(arguments)
    if arguments.used_by:
        raise UsageError(Problem(what="--used-by says what is locked", todo="add --write-lock FILE"))
    registry = registry_of(arguments)
    if arguments.json:
        print(json.dumps(as_json(registry), indent=2))
        return 0
    lines: list[str] = []
    for kind in KINDS.values():
        entries = [entry for entry in registry.entries if entry.kind == kind.name]
        if entries:
            lines += [
                *paragraph(f"{kind.plural} (contract {kind.version}) - {kind.summary}", 0),
                *columns(_row(registry, entry) for entry in entries),
                "",
            ]
    hooks = {hook: names for hook, names in registry.hooks().items() if names}
    if hooks:
        rows = ((hook.removeprefix("visioncore_"), ", ".join(names)) for hook, names in hooks.items())
        lines += ["hooks, in the order in which they are called", *columns(rows), ""]
    lines += ["plugins", *columns((plugin.name, _origin(plugin), _state(plugin)) for plugin in registry.plugins)]
    if not registry.plugins:
        lines += paragraph("none is installed; pip install a package with an entry point in 'visioncore_engine'")
    print("\n".join(lines))
    return 0


def _write_lock(arguments: argparse.Namespace) -> int:
    path = Path(arguments.write_lock)
    if arguments.used_by:
        from visioncore_engine.config import resolve

        # The run may require the very lock that is to be written.
        sets = [*sets_of(argparse.Namespace(sets=[], allow=arguments.allow)), "plugins.lock=''"]
        resolved = resolve([arguments.used_by], sets, plugin_files=arguments.plugin, block=arguments.block)
        used = {(choice.plugin, choice.origin) for _, choice in resolved.choices()}
        plugins = [found for found in resolved.registry.plugins if (found.name, found.origin) in used]
    else:
        plugins = [plugin for plugin in registry_of(arguments).plugins if plugin.status == "loaded"]
    path.write_text(to_text(plugins), encoding="utf-8")
    print(f"wrote {path}: {', '.join(plugin.name for plugin in plugins)}; a run that requires it says")
    print(f"plugins: {{lock: {path}}}")
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
                "distribution_version": entry.plugin.version,
                "contract_version": entry.component.version,
                "former_names": list(entry.component.former_names),
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
        "hooks": {hook: list(names) for hook, names in registry.hooks().items()},
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
    before = f", formerly {', '.join(entry.component.former_names)}" if entry.component.former_names else ""
    return entry.name, f"{entry.component.summary} ({entry.plugin.name}{before})"


def _origin(plugin: Plugin) -> str:
    return f"{plugin.distribution} {plugin.version}{' (editable)' if plugin.editable else ''}".strip() or "single file"


def _state(plugin: Plugin) -> str:
    if plugin.status == "broken":
        return f"BROKEN: {plugin.error}"
    if plugin.status == "blocked":
        return f"blocked: {plugin.error}"
    return ", ".join([plugin.status, *(f"WARNING: {warning}" for warning in plugin.warnings)])
