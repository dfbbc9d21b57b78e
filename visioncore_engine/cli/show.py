"""Explain a component: what its block may hold, what its builder is given and must return, and an example."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from visioncore_engine.cli.contract import attributes_of
from visioncore_engine.cli.layout import columns, paragraph
from visioncore_engine.cli.parser import add_plugins, example, registry_of
from visioncore_engine.component import KINDS, Kind
from visioncore_engine.config.classes import options_class
from visioncore_engine.config.run import RunConfig
from visioncore_engine.config.text import flow
from visioncore_engine.config.words import describe
from visioncore_engine.errors import PluginError
from visioncore_engine.options import Options, Slot, slots
from visioncore_engine.registry import Entry, Registry

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("kind", metavar="KIND", help=f"one of {', '.join(KINDS)}")
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="name or plugin:name; without it, the kind is explained"
    )
    add_plugins(parser)
    example(parser, "visioncore show sampler", "visioncore show optimizer adamw")


def run(arguments: argparse.Namespace) -> int:
    """Print the explanation."""
    registry = registry_of(arguments)
    names = registry.names(arguments.kind)  # refuses an unknown kind
    kind = KINDS[arguments.kind]
    if arguments.name is None:
        lines = [kind.name, *paragraph(kind.summary), "", "contract", *_contract(kind), "", "installed"]
        lines += paragraph(", ".join(names) or "none")
    else:
        lines = list(_component(registry, registry.find(kind.name, arguments.name)))
    print("\n".join(lines))
    return 0


def _component(registry: Registry, entry: Entry) -> Iterator[str]:
    kind = KINDS[entry.kind]
    model = options_class(entry)
    found = slots(model)
    yield f"{entry.kind} {entry.name}"
    yield from paragraph(entry.component.summary)
    yield ""
    yield from columns(
        [
            ("provided by", f"plugin {entry.plugin}{', editable' if entry.plugin.editable else ''}"),
            ("source", entry.plugin.source),
            ("options", entry.component.options or kind.options),
            ("builder", entry.component.build),
            *([("logs", ", ".join(entry.component.logs))] if entry.component.logs else []),
        ]
    )
    yield from ("", "options")
    for name, field in model.model_fields.items():
        allowed = _slot_in_words(found[name]) if name in found else describe(field)
        yield from columns([(name, f"{allowed}; {_default(field, found.get(name))}")])
        yield from paragraph(field.description or "", indent=6)
    if not model.model_fields:
        yield "  none"
    yield from ("", "contract", *_contract(kind))
    yield from ("", "example", *_example(registry, entry, model))


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


def _default(field: FieldInfo, slot: Slot | None) -> str:
    if slot is not None and slot.default:
        return f"default {', '.join(slot.default)}"
    if field.is_required():
        return "required"
    return f"default {_written(field)}"


def _written(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    return flow(value.model_dump(mode="json") if isinstance(value, BaseModel) else value)


def _example(registry: Registry, entry: Entry, model: type[Options]) -> list[str]:
    """Write a block with every option, at the key where the kind belongs."""
    path, many = _home(registry, entry.kind)
    lines = ["  " * depth + f"{word}:" for depth, word in enumerate(path, 1)]
    head = "  " * (len(path) + 1)
    dash, rest = ("- ", "  ") if many else ("", "")
    body = [f"{dash}name: {entry.name}"]
    for name, field in model.model_fields.items():
        if field.is_required():
            body.append(f"{rest}{name}: …  # required")
        elif name not in slots(model):
            body.append(f"{rest}{name}: {_written(field)}")
    return [*lines, *(f"{head}{line}" for line in body)]


def _home(registry: Registry, kind: str) -> tuple[tuple[str, ...], bool]:
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
