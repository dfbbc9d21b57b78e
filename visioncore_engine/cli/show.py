"""Explain a component: what its block may hold, what its builder is given and must return, and an example."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from visioncore_engine.cli.contract import attributes_of
from visioncore_engine.cli.layout import columns, paragraph
from visioncore_engine.cli.parser import add_plugins, example, registry_of
from visioncore_engine.component import KINDS, Kind
from visioncore_engine.config.classes import options_class
from visioncore_engine.config.examples import default_of, example_of
from visioncore_engine.config.run import RunConfig
from visioncore_engine.config.text import flow, to_yaml
from visioncore_engine.config.words import describe
from visioncore_engine.errors import PluginError
from visioncore_engine.options import Options, Slot, slots
from visioncore_engine.registry import Entry, Registry, module_file

__all__ = ["arguments", "as_json", "home_of", "option_of", "run", "written"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("kind", metavar="KIND", help=f"one of {', '.join(KINDS)}")
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="name or plugin:name; without it, the kind is explained"
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON, for machines")
    add_plugins(parser)
    example(parser, "visioncore show sampler", "visioncore show optimizer adamw", "visioncore show loss poisson --json")


def run(arguments: argparse.Namespace) -> int:
    """Print the explanation."""
    registry = registry_of(arguments)
    names = registry.names(arguments.kind)  # refuses an unknown kind
    kind = KINDS[arguments.kind]
    if arguments.name is None:
        found = {**_kind(kind), "installed": list(names)}
        lines = [kind.name, *paragraph(kind.summary), "", "contract", *_contract(kind), "", "installed"]
        lines += paragraph(", ".join(names) or "none")
    else:
        entry = registry.find(kind.name, arguments.name)
        found = as_json(registry, entry)
        lines = list(_component(found, kind))
    print(json.dumps(found, indent=2, ensure_ascii=False) if arguments.json else "\n".join(lines))
    return 0


def as_json(registry: Registry, entry: Entry) -> dict[str, Any]:
    """Everything that is known of a component, as plain values; its builder is not imported."""
    model = options_class(entry)
    found = slots(model)
    builder = entry.component.build.partition(":")[0] or entry.home
    return {
        "name": entry.name,
        "reference": entry.reference,
        "summary": entry.component.summary,
        "former_names": list(entry.component.former_names),
        "plugin": entry.plugin.name,
        "distribution": entry.plugin.distribution,
        "distribution_version": entry.plugin.version,
        "editable": entry.plugin.editable,
        "declared_in": entry.plugin.source,
        "built_in": str(module_file(builder)),
        "options_class": entry.component.options or KINDS[entry.kind].options,
        "builder": entry.component.build,
        "logs": list(entry.component.logs),
        "options": [option_of(name, field, found.get(name)) for name, field in model.model_fields.items()],
        **_kind(KINDS[entry.kind]),
        "example": _example(registry, entry, model),
    }


def _kind(kind: Kind) -> dict[str, Any]:
    facts, returned = kind.facts.partition(":")[2], kind.returns.partition(":")[2]
    return {
        "kind": kind.name,
        "contract_version": kind.version,
        "facts": {"name": facts, "attributes": dict(attributes_of(facts))},
        "returns": {"name": returned, "attributes": dict(attributes_of(returned))},
    }


def option_of(name: str, field: FieldInfo, slot: Slot | None) -> dict[str, Any]:
    """What is known of an option, as plain values."""
    required = field.is_required() and not (slot is not None and slot.default)
    told = {
        "name": name,
        "allowed": _slot_in_words(slot) if slot is not None else describe(field),
        "required": required,
        "description": field.description or "",
    }
    if slot is not None:
        return told if required else {**told, "default": list(slot.default) if slot.default else default_of(field)}
    return told if required else {**told, "default": default_of(field)}


def _component(found: dict[str, Any], kind: Kind) -> Iterator[str]:
    yield f"{kind.name} {found['name']}"
    yield from paragraph(found["summary"])
    yield ""
    origin = f"{found['distribution']}=={found['distribution_version']}" if found["distribution"] else "a single file"
    rows = [
        ("provided by", f"plugin {found['plugin']} ({origin}{', editable' if found['editable'] else ''})"),
        ("source", found["declared_in"]),
        ("options", found["options_class"]),
        ("builder", f"{found['builder']} in {found['built_in']}"),
        ("logs", ", ".join(found["logs"])),
        ("formerly", ", ".join(found["former_names"])),
    ]
    yield from columns(row for row in rows if row[1])
    yield from ("", "options")
    for option in found["options"]:
        default = "required" if option["required"] else f"default {written(option['default'])}"
        yield from columns([(option["name"], f"{option['allowed']}; {default}")])
        yield from paragraph(option["description"], indent=6)
    if not found["options"]:
        yield "  none"
    yield from ("", "contract", *_contract(kind))
    yield from ("", "example", *(f"  {line}".rstrip() for line in found["example"].splitlines()))


def _contract(kind: Kind) -> list[str]:
    facts, returned = kind.facts.partition(":")[2], kind.returns.partition(":")[2]
    lines = columns([(f"version {kind.version}", f"build(options, facts: {facts}) -> {returned}")])
    for name in (facts, returned):
        attributes = attributes_of(name)
        if attributes:
            lines += [f"  {name}", *columns(attributes, indent=6)]
    return lines


def _slot_in_words(slot: Slot) -> str:
    return (
        f"a list of {KINDS[slot.kind].plural}, or a mapping from id to {slot.kind}" if slot.many else f"a {slot.kind}"
    )


def written(value: Any) -> str:
    """Write a default as a run file would hold it."""
    return flow(value.model_dump(mode="json") if isinstance(value, BaseModel) else value)


def _example(registry: Registry, entry: Entry, model: type[Options]) -> str:
    """Write a block with every option, at the key where the kind belongs."""
    path, many = home_of(registry, entry.kind)
    lines = ["  " * depth + f"{word}:" for depth, word in enumerate(path)]
    head = "  " * len(path)
    dash, rest = ("- ", "  ") if many else ("", "")
    body = to_yaml(example_of(registry, entry, model), lambda _key: "default").splitlines()
    block = [f"{dash}{body[0]}", *(f"{rest}{line}" for line in body[1:])]
    return "\n".join([*lines, *(f"{head}{line}" for line in block)]) + "\n"


def home_of(registry: Registry, kind: str) -> tuple[tuple[str, ...], bool]:
    """Keys under which a run file holds a kind: at its top level, else in the options of a model or dataset."""
    for name, slot in slots(RunConfig).items():
        if slot.kind == kind:
            return (name,), slot.many
    for key, outer in (("model", "model"), ("data", "dataset")):
        for entry in registry.entries:
            if entry.kind != outer or entry.refused:
                continue
            try:
                found = slots(options_class(entry))
            except PluginError:  # another component's fault, told when that one is shown
                continue
            for name, slot in found.items():
                if slot.kind == kind:
                    return (key, name), slot.many
    return (kind,), False
