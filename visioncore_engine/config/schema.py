"""A JSON Schema (2020-12) of run files over the installed plugins, for editors.

A run file may be one of several that are laid over each other, so the schema requires no key: what is missing from
the whole is found by ``visioncore check``. For the same reason a value may be null (which removes) or a reference
``${…}``, and a block may be without its `name` (its keys are then checked by ``visioncore check`` only). What is
written is held to names, types and bounds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from math import isfinite
from typing import Any

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from visioncore_engine.component import KINDS
from visioncore_engine.config.classes import options_class
from visioncore_engine.config.run import RunConfig
from visioncore_engine.errors import PluginError, Problem
from visioncore_engine.options import SLOT
from visioncore_engine.registry import Entry, Registry

__all__ = ["DIALECT", "HASH", "plugins_hash", "schema"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
HASH = "x-visioncore-plugins"
"""Key of the schema that says for which plugins it was made."""

_OPEN = "open"
_MODE: JsonSchemaMode = "validation"


def plugins_hash(registry: Registry) -> str:
    """Hash of what is installed: another plugin, version or component gives another."""
    plugins = [(plugin.name, plugin.distribution, plugin.version, plugin.status) for plugin in registry.plugins]
    entries = [(entry.kind, entry.reference, entry.component.version) for entry in registry.entries]
    return hashlib.sha256(json.dumps([plugins, entries]).encode()).hexdigest()


def schema(registry: Registry) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """Make the schema.

    Returns
    -------
    schema
        Plain values, ready for JSON.
    problems
        Components that are not in it, because their options cannot be imported or said in JSON Schema.
    """
    models: dict[Entry, type[BaseModel]] = {}
    problems: list[Problem] = []
    for entry in registry.entries:
        if entry.refused:
            continue
        try:
            models[entry] = options_class(entry)
        except PluginError as error:
            problems += error.problems
    try:
        references, combined = _combined(models.values())
    except PydanticInvalidForJsonSchema:  # asked one by one only then: it takes as long again
        unsayable = {entry: problem for entry, model in models.items() if (problem := _unsayable(entry, model))}
        problems += unsayable.values()
        models = {entry: model for entry, model in models.items() if entry not in unsayable}
        references, combined = _combined(models.values())
    definitions = {name: _loosen(definition) for name, definition in combined.get("$defs", {}).items()}

    def shape(model: type[BaseModel]) -> dict[str, Any]:
        found: dict[str, Any] = definitions[references[model, _MODE]["$ref"].rpartition("/")[2]]
        return found

    definitions[_OPEN] = {"anyOf": [{"type": "null"}, {"type": "string", "pattern": r"\$\{[^{}]*\}"}]}
    for kind in KINDS:
        of_kind = {entry: model for entry, model in models.items() if entry.kind == kind}
        for entry, model in of_kind.items():
            definitions[_title(entry)] = _block(registry, entry, shape(model))
        definitions[kind] = _one(registry, of_kind)
        definitions[f"{kind}-list"] = _many(kind)
    top = shape(RunConfig)
    extends = {
        "description": "files that this one is laid over, relative to it",
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    }
    return {
        "$schema": DIALECT,
        "title": "visioncore run file",
        HASH: plugins_hash(registry),
        **top,
        "properties": {"extends": extends, **top["properties"]},
        "$defs": _reachable(top, definitions),
    }, tuple(problems)


class _Generator(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        # pydantic builds a serializer for each default, which takes half as long as everything else.
        if dft is None or type(dft) in (bool, int, str) or (type(dft) is float and isfinite(dft)):
            return dft
        return super().encode_default(dft)


def _combined(models: Iterable[type[BaseModel]]) -> tuple[dict[Any, dict[str, Any]], dict[str, Any]]:
    """Return the reference of each class, that of run files among them, and all definitions."""
    inputs: list[type[BaseModel]] = list(dict.fromkeys([RunConfig, *models]))
    return models_json_schema(
        [(model, _MODE) for model in inputs], ref_template="#/$defs/{model}", schema_generator=_Generator
    )


def _unsayable(entry: Entry, model: type[BaseModel]) -> Problem | None:
    """Tell why an options class cannot be put into a schema: one stranger's type must not cost everyone theirs."""
    try:
        model.model_json_schema(mode=_MODE)
    except PydanticInvalidForJsonSchema as error:
        what = f"plugin {entry.plugin}: options of {entry.kind} {entry.name!r} have no JSON Schema: {error.message}"
        return Problem(what=what)
    return None


def _title(entry: Entry) -> str:
    return f"{entry.kind}.{entry.reference}"


def _spellings(registry: Registry, entry: Entry) -> list[str]:
    """Names that select a component: the plain ones only where they are not ambiguous, those of before at the end."""
    current = registry.candidates(entry.kind, entry.name)
    spelled = [entry.name, entry.reference] if current == (entry,) else [entry.reference]
    for name in entry.component.former_names:
        for reference in (name, f"{entry.plugin.name}:{name}"):
            try:
                if registry.find(entry.kind, reference) == entry:
                    spelled.append(reference)
            except PluginError:  # ambiguous
                continue
    return spelled


def _block(registry: Registry, entry: Entry, options: dict[str, Any]) -> dict[str, Any]:
    name = {"enum": _spellings(registry, entry), "description": entry.component.summary}
    identifier = {"type": "string", "description": "what overlays call the block among its siblings"}
    return {
        "type": "object",
        "title": entry.name,
        "description": entry.component.summary,
        "properties": {"name": name, "id": identifier, **options.get("properties", {})},
        "required": ["name"],
        "additionalProperties": False,
    }


def _one(registry: Registry, models: dict[Entry, type[BaseModel]]) -> dict[str, Any]:
    """One component of a kind: a bare word, a block, or part of a block that another file names."""
    words = [
        word
        for entry, model in models.items()
        if not any(field.is_required() for field in model.model_fields.values())
        for word in _spellings(registry, entry)
    ]
    blocks = [{"$ref": f"#/$defs/{_title(entry)}"} for entry in models]
    nameless = {"type": "object", "properties": {"name": {"$ref": f"#/$defs/{_OPEN}"}}}
    choices = [*([{"enum": words}] if words else []), *blocks, nameless]
    return {"oneOf": choices}


def _many(kind: str) -> dict[str, Any]:
    block = {"$ref": f"#/$defs/{kind}"}
    return {
        "anyOf": [
            {"type": "array", "items": block},
            {"type": "object", "additionalProperties": {"anyOf": [block, {"$ref": f"#/$defs/{_OPEN}"}]}},
        ]
    }


def _loosen(definition: Any) -> Any:
    """Let every option be null or a reference, require none, and put the kinds into the slots."""
    if isinstance(definition, list):
        return [_loosen(item) for item in definition]
    if not isinstance(definition, dict):
        return definition
    if SLOT in definition:
        return {**_without(definition, SLOT, "title"), "$ref": f"#/$defs/{definition[SLOT]}"}
    loose = {
        key: value if key in ("default", "enum", "const", "examples") else _loosen(value)
        for key, value in _without(definition, "required", "title").items()
    }
    if isinstance(definition.get("properties"), dict):
        loose["properties"] = {name: _open(_loosen(value)) for name, value in definition["properties"].items()}
    return loose


def _without(definition: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in definition.items() if key not in keys}


def _open(option: dict[str, Any]) -> dict[str, Any]:
    inside = _without(option, "description", "default")
    outside = _without(option, *inside)
    alternatives = inside["anyOf"] if set(inside) == {"anyOf"} else [inside]
    return {**outside, "anyOf": [*alternatives, {"$ref": f"#/$defs/{_OPEN}"}]}


def _reachable(top: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Definitions that the top level leads to: what pydantic made of whole classes stands in the blocks already."""
    wanted: list[str] = []
    open_ends: list[Any] = [top]
    while open_ends:
        for name in _references(open_ends.pop()):
            if name not in wanted:
                wanted.append(name)
                open_ends.append(definitions[name])
    return {name: definitions[name] for name in sorted(wanted)}


def _references(definition: Any) -> Iterable[str]:
    if isinstance(definition, dict):
        if isinstance(definition.get("$ref"), str):
            yield definition["$ref"].removeprefix("#/$defs/")
        definition = list(definition.values())
    if isinstance(definition, list):
        for item in definition:
            yield from _references(item)
