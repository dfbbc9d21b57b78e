"""From the tree of a run to typed options: components looked up, their options validated, slots filled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from visioncore_engine.component import KINDS, resolve_address
from visioncore_engine.config.mistakes import FAILED, Path, problems_in
from visioncore_engine.config.node import Node, as_mapping, plain, spread_word
from visioncore_engine.config.owned import IMPORT_KEYS
from visioncore_engine.config.secrets import hides_password, is_secret_key
from visioncore_engine.config.words import allows_none, given, is_mapping, models_in, step_into
from visioncore_engine.errors import ConfigError, PluginError, Problem, nearest
from visioncore_engine.options import Choice, Options, Slot, slots
from visioncore_engine.registry import Entry, Registry, load_address

__all__ = ["Blocks", "options_class"]

_PROMISES = {"extra": "forbid", "frozen": True, "strict": True, "allow_inf_nan": False}

AnyOptions = TypeVar("AnyOptions", bound=Options)


def options_class(entry: Entry) -> type[Options]:
    """Import the options class of a component.

    Raises
    ------
    PluginError
        Where it cannot be imported, or does not keep what the kind's options promise.
    """
    kind = KINDS[entry.kind]
    base: type[Options] = resolve_address(kind.options)
    if not entry.component.options:
        return base
    found = load_address(entry.component.options, entry.plugin, entry.home)
    what = f"plugin {entry.plugin}: options {entry.component.options!r} of {entry.kind} {entry.name!r}"
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PluginError(f"{what} must be a class derived from {kind.options}")
    loosened = [name for name, value in _PROMISES.items() if found.model_config.get(name) != value]
    if loosened:
        raise PluginError(f"{what} must keep the settings of Options: {', '.join(loosened)}")
    reserved = sorted({"id", "name"} & set(found.model_fields))
    if reserved:
        raise PluginError(f"{what} may not have a field {reserved[0]!r}: it is a word of every block")
    return found


class Blocks:
    """Resolves blocks; collects what is wrong instead of stopping at the first mistake.

    Attributes
    ----------
    problems, plugin_problems
        Every mistake so far; those of `plugin_problems` are about plugins rather than the run file.
    places
        Node of each dotted key that was written; lists of blocks by id.
    references
        What was written for a component's name where it says more than the name (``plugin:name``), by dotted key.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.problems: list[Problem] = []
        self.plugin_problems: list[Problem] = []
        self.places: dict[str, Node] = {}
        self.references: dict[str, str] = {}
        self._choices: list[Choice] = []
        self._written = True  # False while a slot is filled with its default, which nobody wrote

    def options(self, model: type[AnyOptions], node: Node, key: str = "", owner: str = "") -> AnyOptions | None:
        """Validate a block against its options class; None where anything in it is wrong."""
        before = len(self.problems)
        data = self._prepare(model, node, key)
        try:
            found = model.model_validate_json(json.dumps(data), context={"choices": self._choices})
        except ValidationError as error:
            self.problems += problems_in(model, data, error, key, lambda path: self._place(key, path, node))
            return None
        except Exception as error:  # noqa: BLE001 - a validator of a plugin may raise anything; it is told with its owner
            what = f"the options class {model.__name__} failed: {type(error).__name__}: {error}"
            self.problems.append(Problem(what=f"{owner}{what}", where=node.where, key=key))
            return None
        return found if len(self.problems) == before else None

    def choice(self, slot: Slot, node: Node, key: str, name: str | None = None) -> Choice | None:
        """Resolve one block.

        Parameters
        ----------
        slot
            What may stand here.
        node, key
            The block, and its dotted key.
        name
            Its id among its siblings, which stands in for a `name` that is not written.
        """
        self._remember(key, node)
        block = spread_word(node)
        if not isinstance(block.value, dict):
            what = f"expected a {slot.kind}: its name, or a block {{name: …}}"
            self._fail(Problem(what=what, where=node.where, key=key, given=given(plain(node))))
            return None
        written = block.value.get("name")
        if name is not None and "id" in block.value and block.value["id"].value != name:
            what = f"the id says other than the key {name!r} of the block"
            self._fail(Problem(what=what, where=block.value["id"].where, key=f"{key}.id"))
        reference = written.value if written is not None and written.value is not None else name
        if written is not None:
            self._remember(f"{key}.name", written)
        if not isinstance(reference, str):
            self._nameless(slot, block, key)
            return None
        entry = self._find(slot.kind, reference, key, written or node)
        if entry is None:
            return None
        if ":" in reference:
            self.references[key] = reference
        options = self._options_of(entry, block, key, keeps_id=name is None)
        if options is None:
            return None
        choice = Choice(
            kind=slot.kind,
            name=entry.name,
            plugin=entry.plugin.name,
            options=options,
            id=entry.name if name is None else name,
            component=entry.component,
            where=node.where,
            home=entry.home,
        )
        self._choices.append(choice)
        return choice

    def _nameless(self, slot: Slot, block: Node, key: str) -> None:
        assert isinstance(block.value, dict)
        if IMPORT_KEYS & set(block.value):
            what, todo = "import paths are not allowed", "use a registered name: `name`"
        else:
            what, todo = f"the block does not say which {slot.kind} it is", "give it a `name`"
        names = ", ".join(self.registry.names(slot.kind)) or "none"
        self._fail(Problem(what=what, where=block.where, key=key, todo=f"{todo}; installed: {names}"))

    def _find(self, kind: str, reference: str, key: str, at: Node) -> Entry | None:
        if "." in reference.rpartition(":")[2] or "/" in reference:
            what = "import paths are not allowed"
            todo = f"use a registered name: {', '.join(self.registry.names(kind)) or 'none is installed'}"
            self._fail(Problem(what=what, where=at.where, key=key, given=repr(reference), todo=todo))
            return None
        try:
            return self.registry.find(kind, reference)
        except PluginError as error:
            self._fail_plugin(error, at, key)
            return None

    def _options_of(self, entry: Entry, block: Node, key: str, *, keeps_id: bool) -> Options | None:
        assert isinstance(block.value, dict)
        try:
            model = options_class(entry)
        except PluginError as error:
            self._fail_plugin(error, block, key)
            return None
        before = len(self.problems)
        ours = {"name"} if keeps_id else {"name", "id"}
        rest = {word: child for word, child in block.value.items() if word not in ours}
        if entry.kind == "logger":
            rest = self._without_secrets(rest, key)
        options = self.options(model, replace(block, value=rest), key, owner=f"plugin {entry.plugin}: ")
        return options if len(self.problems) == before else None

    def _without_secrets(self, items: dict[str, Node], key: str) -> dict[str, Node]:
        """Refuse what looks like a secret: loggers write their options to disk and to the network."""
        kept = {}
        for word, child in items.items():
            if (is_secret_key(word) and child.value is not None) or hides_password(child.value):
                what = "secrets belong in the environment, not in a run file; the value is not shown"
                self._fail(Problem(what=what, where=child.where, key=f"{key}.{word}"))
            elif isinstance(child.value, dict):
                kept[word] = replace(child, value=self._without_secrets(child.value, f"{key}.{word}"))
            else:
                kept[word] = child
        return kept

    def _prepare(self, annotation: Any, node: Node, key: str) -> Any:
        """Plain values for validation: nulls that remove are gone, blocks in slots are replaced by their choices."""
        if key:
            self._remember(key, node)
        if isinstance(node.value, list):
            items = enumerate(node.value)
            return [self._prepare(step_into(annotation, number), child, f"{key}.{number}") for number, child in items]
        if not isinstance(node.value, dict):
            return node.value
        models = models_in(annotation)
        if models:
            return self._prepare_model(models[0], node, key)
        is_open = is_mapping(annotation)
        prepared = {}
        for word, child in node.value.items():
            inner = step_into(annotation, word)
            below = _below(key, word)
            if not is_open or allows_none(inner) or self._is_there(word, child, below, node.value):
                prepared[word] = self._prepare(inner, child, below)
        return prepared

    def _prepare_model(self, model: type[BaseModel], node: Node, key: str) -> dict[str, Any]:
        assert isinstance(node.value, dict)
        found = slots(model)
        data: dict[str, Any] = {}
        for word, child in node.value.items():
            below = _below(key, word)
            field = model.model_fields.get(word)
            if field is not None and child.value is None:
                if allows_none(field.annotation):
                    self._remember(below, child)
                    data[word] = None
            elif word in found:
                self._remember(below, child)
                data[word] = self._fill(found[word], child, below)
            else:
                data[word] = self._prepare(field, child, below)
        for word, slot in found.items():
            if word not in data and slot.default:
                data[word] = self._fill_default(slot, node, _below(key, word))
        return data

    def _fill_default(self, slot: Slot, node: Node, key: str) -> Any:
        names = [Node(name, node.where) for name in slot.default]
        was_written, self._written = self._written, False
        filled = self._fill(slot, Node(names, node.where) if slot.many else names[0], key)
        self._written = was_written
        return filled

    def _fill(self, slot: Slot, node: Node, key: str) -> Any:
        """Resolve the block or blocks in a slot; return what goes into the data in their place."""
        if not slot.many:
            return self._placeholder(self.choice(slot, node, key))
        try:
            blocks = as_mapping(node) or node
        except ConfigError as error:
            self.problems += [replace(problem, key=key) for problem in error.problems]
            return FAILED
        one_block = node.name is not None
        if one_block or not isinstance(blocks.value, dict):
            what = f"expected a list of {KINDS[slot.kind].plural}, or a mapping from id to block"
            todo = "write it in a list: [...]" if one_block else ""
            self._fail(Problem(what=what, where=node.where, key=key, given=given(plain(node)), todo=todo))
            return FAILED
        self._remember(key, blocks)
        return [
            self._placeholder(self.choice(slot, block, f"{key}.{name}", name))
            for name, block in blocks.value.items()
            if self._is_there(name, block, f"{key}.{name}", blocks.value)
        ]

    def _is_there(self, name: str, block: Node, key: str, siblings: Mapping[str, Node]) -> bool:
        """Whether an entry is a block rather than the removal of one; a removal must have had something to remove."""
        if block.value is not None:
            return True
        if not block.past:
            others = [other for other, sibling in siblings.items() if sibling.value is not None]
            close = nearest(name, others)
            hint = f"did you mean {close!r}? " if close else ""
            todo = f"{hint}there are: {', '.join(others) or 'none'}"
            self._fail(
                Problem(what="null removes, and there is nothing to remove", where=block.where, key=key, todo=todo)
            )
        return False

    def _placeholder(self, choice: Choice | None) -> Any:
        return FAILED if choice is None else {"$choice": len(self._choices) - 1}

    def _remember(self, key: str, node: Node) -> None:
        if self._written:
            self.places[key] = node

    def _place(self, key: str, path: Path, block: Node) -> str:
        """Where a path inside a block was written, or the nearest thing above it."""
        for length in range(len(path), 0, -1):
            node = self.places.get(".".join(filter(None, (key, *map(str, path[:length])))))
            if node is not None:
                return node.where
        return block.where

    def _fail(self, problem: Problem) -> None:
        self.problems.append(problem)

    def _fail_plugin(self, error: PluginError, at: Node, key: str) -> None:
        """Take over what is wrong with a plugin, with the place that chose it."""
        default = "" if self._written else "; it is a default, and the run may name another"
        self.plugin_problems += [
            replace(problem, where=at.where, key=key, todo=f"{problem.todo}{default}") for problem in error.problems
        ]
        self.problems += self.plugin_problems[-len(error.problems) :]


def _below(key: str, word: str) -> str:
    return f"{key}.{word}" if key else word
