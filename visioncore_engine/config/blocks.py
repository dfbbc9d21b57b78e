"""From the tree of a run to typed options: components looked up, their options validated, slots filled."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from visioncore_engine.component import KINDS
from visioncore_engine.config.classes import options_class
from visioncore_engine.config.ledger import Ledger
from visioncore_engine.config.mistakes import FAILED, problems_in
from visioncore_engine.config.node import Node, as_mapping, block_id, plain, spread_word
from visioncore_engine.config.owned import IMPORT_KEYS
from visioncore_engine.config.words import allows_none, given, is_mapping, models_in, step_into
from visioncore_engine.errors import ConfigError, PluginError, Problem, nearest
from visioncore_engine.options import Choice, Options, Slot, slots
from visioncore_engine.registry import Entry, Registry
from visioncore_engine.secrets import hides_password, is_secret_key

__all__ = ["Blocks"]

AnyOptions = TypeVar("AnyOptions", bound=Options)

_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class Blocks:
    """Resolves blocks.

    Attributes
    ----------
    registry
        The plugins to choose from.
    ledger
        Every mistake so far, and where each key was written.
    references
        What was written for a component's name where it says more than the name (``plugin:name``), by dotted key.
    renamed
        Names of the run file that components bore before.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.ledger = Ledger()
        self.references: dict[str, str] = {}
        self.renamed: list[Problem] = []
        self._choices: list[Choice] = []

    def options(self, model: type[AnyOptions], node: Node, key: str = "", owner: str = "") -> AnyOptions | None:
        """Validate a block against its options class; None where anything in it is wrong.

        Parameters
        ----------
        model
            The class.
        node, key
            The block, and its dotted key; empty for a whole run.
        owner
            Who wrote the class, for the case that the class itself fails.
        """
        ledger = self.ledger
        before = len(ledger.problems)
        data = self._prepare(model, node, key)
        try:
            found = model.model_validate_json(json.dumps(data), context={"choices": self._choices})
        except ValidationError as error:
            ledger.problems += problems_in(model, data, error, key, lambda path: ledger.place(key, path, node))
            return None
        except Exception as error:  # noqa: BLE001 - a validator of a plugin may raise anything; it is told with its owner
            ledger.fail(f"{owner}the options class {model.__name__} failed: {type(error).__name__}: {error}", node, key)
            return None
        return found if len(ledger.problems) == before else None

    # -----------------------------------------------------------------------------------------------------------
    # One block

    def choice(self, slot: Slot, node: Node, key: str, name: str | None = None) -> Choice | None:
        """Resolve one block; None where anything in it is wrong.

        Parameters
        ----------
        slot
            What may stand here.
        node, key
            The block, and its dotted key.
        name
            Its id among its siblings, which stands in for a `name` that is not written.
        """
        self.ledger.remember(key, node)
        block = spread_word(node)
        if not isinstance(block.value, dict):
            what = f"expected a {slot.kind}: its name, or a block {{name: …}}"
            self.ledger.fail(what, node, key, given=given(plain(node)))
            return None
        entry = self._entry(slot.kind, block, block.value, key, name)
        if entry is None:
            return None
        ours = {"name"} if name is None else {"name", "id"}
        rest = {word: child for word, child in block.value.items() if word not in ours}
        options = self._options_of(entry, replace(block, value=rest), rest, key)
        if options is None:
            return None
        choice = Choice(
            kind=slot.kind,
            name=entry.name,
            plugin=entry.plugin.name,
            options=options,
            id=name or entry.name,
            component=entry.component,
            where=node.where,
            home=entry.home,
            origin=entry.plugin.origin,
        )
        self._choices.append(choice)
        return choice

    def _entry(self, kind: str, block: Node, items: dict[str, Node], key: str, name: str | None) -> Entry | None:
        """Find the component that a block names."""
        for word in sorted(IMPORT_KEYS & set(items)):
            todo = "use a registered name: `name`"
            self.ledger.fail("import paths are not allowed", items[word], f"{key}.{word}", todo=todo)
            return None
        if name is not None and not self._has_good_id(block, items, key, name):
            return None
        written = items.get("name")
        if written is not None and written.value is not None:
            self.ledger.remember(f"{key}.name", written)
            return self._find(kind, written.value, key, written)
        if (name is None or not self.registry.candidates(kind, name)) and self._misspells_name(items, key):
            return None
        return self._find(kind, name, key, block)

    def _has_good_id(self, block: Node, items: dict[str, Node], key: str, name: str) -> bool:
        if not _ID.fullmatch(name):
            what = "an id is made of letters, digits, '_' and '-', and does not begin with a digit"
            self.ledger.fail(what, block, key, given=repr(name))
        elif "id" in items and items["id"].value != name:
            self.ledger.fail(f"the id says other than the key {name!r} of the block", items["id"], f"{key}.id")
        else:
            return True
        return False

    def _misspells_name(self, items: dict[str, Node], key: str) -> bool:
        """Whether a block has a key that was meant to be `name`; that is told."""
        for word, child in items.items():
            if word != "name" and nearest(word, ["name"]):
                self.ledger.fail(f"unknown key {word!r}", child, f"{key}.{word}", todo="did you mean 'name'?")
                return True
        return False

    def _find(self, kind: str, reference: Any, key: str, at: Node) -> Entry | None:
        names = ", ".join(self.registry.names(kind)) or "none is installed"
        if not isinstance(reference, str):
            what = f"the block does not say which {kind} it is"
            self.ledger.fail(what, at, key, todo=f"give it a `name`; installed: {names}")
            return None
        if "." in reference.rpartition(":")[2] or "/" in reference:
            todo = f"use a registered name: {names}"
            self.ledger.fail("import paths are not allowed", at, key, given=repr(reference), todo=todo)
            return None
        try:
            entry = self.registry.find(kind, reference)
        except PluginError as error:
            self.ledger.fail_plugin(error, at, key)
            return None
        if ":" in reference:
            self.references[key] = entry.reference
        if reference.rpartition(":")[2] != entry.name:
            what = f"{kind} {reference!r} is now called {entry.name!r} (plugin {entry.plugin})"
            todo = "write the new name: the old one will go"
            self.renamed.append(Problem(what=what, where=at.where, key=key, todo=todo))
        return entry

    def _options_of(self, entry: Entry, block: Node, items: dict[str, Node], key: str) -> Options | None:
        try:
            model = options_class(entry)
        except PluginError as error:
            self.ledger.fail_plugin(error, block, key)
            return None
        before = len(self.ledger.problems)
        if entry.kind == "logger":
            block = replace(block, value=self._without_secrets(items, key))
        options = self.options(model, block, key, owner=f"plugin {entry.plugin}: ")
        return options if len(self.ledger.problems) == before else None

    def _without_secrets(self, items: dict[str, Node], key: str) -> dict[str, Node]:
        """Refuse what looks like a secret: loggers write their options to disk and to the network."""
        kept = {}
        for word, child in items.items():
            below = f"{key}.{word}"
            if (is_secret_key(word) and child.value is not None) or hides_password(child.value):
                self.ledger.fail(
                    "secrets belong in the environment, not in a run file; the value is not shown", child, below
                )
            elif isinstance(child.value, dict):
                kept[word] = replace(child, value=self._without_secrets(child.value, below))
            else:
                kept[word] = child
        return kept

    # -----------------------------------------------------------------------------------------------------------
    # The values around blocks

    def _prepare(self, annotation: Any, node: Node, key: str) -> Any:
        """Plain values for validation: nulls that remove are gone, blocks in slots are replaced by their choices."""
        if key:
            self.ledger.remember(key, node)
        if isinstance(node.value, list):
            items = enumerate(node.value)
            return [self._prepare(step_into(annotation, number), child, f"{key}.{number}") for number, child in items]
        if not isinstance(node.value, dict):
            return node.value
        models = models_in(annotation)
        if models:
            return self._prepare_model(models[0], node, node.value, key)
        is_open = is_mapping(annotation)
        prepared = {}
        for word, child in node.value.items():
            inner, below = step_into(annotation, word), _below(key, word)
            if not is_open or allows_none(inner) or self.ledger.is_there(word, child, below, node.value):
                prepared[word] = self._prepare(inner, child, below)
        return prepared

    def _prepare_model(self, model: type[BaseModel], node: Node, items: dict[str, Node], key: str) -> dict[str, Any]:
        found = slots(model)
        data: dict[str, Any] = {}
        for word, child in items.items():
            below = _below(key, word)
            field = model.model_fields.get(word)
            if field is not None and child.value is None:
                if allows_none(field.annotation):  # null is a value here; elsewhere it removes
                    self.ledger.remember(below, child)
                    data[word] = None
            elif word in found:
                self.ledger.remember(below, child)
                data[word] = self._fill(found[word], child, below)
            else:
                data[word] = self._prepare(field, child, below)
        for word, slot in found.items():
            if word not in data and slot.default:
                names = [Node(name, node.where) for name in slot.default]
                with self.ledger.default():
                    data[word] = self._fill(slot, Node(names, node.where) if slot.many else names[0], _below(key, word))
        return data

    def _fill(self, slot: Slot, node: Node, key: str) -> Any:
        """Resolve the block or blocks in a slot; return what goes into the data in their place."""
        if not slot.many:
            return self._placeholder(self.choice(slot, node, key))
        try:
            blocks = as_mapping(node) or node
        except ConfigError as error:
            self.ledger.problems += [replace(problem, key=key) for problem in error.problems]
            return FAILED
        if isinstance(blocks.value, list):
            for number, item in enumerate(blocks.value):
                if block_id(item) is None:
                    self.choice(slot, item, f"{key}.{number}")  # which tells what is wrong with it
            return FAILED
        if node.name is not None or not isinstance(blocks.value, dict):
            what = f"expected a list of {KINDS[slot.kind].plural}, or a mapping from id to block"
            todo = "write it in a list: […]" if node.name is not None else ""
            self.ledger.fail(what, node, key, given=given(plain(node)), todo=todo)
            return FAILED
        self.ledger.remember(key, blocks)
        return [
            self._placeholder(self.choice(slot, block, f"{key}.{name}", name))
            for name, block in blocks.value.items()
            if self.ledger.is_there(name, block, f"{key}.{name}", blocks.value)
        ]

    def _placeholder(self, choice: Choice | None) -> Any:
        return FAILED if choice is None else {"$choice": len(self._choices) - 1}


def _below(key: str, word: str) -> str:
    return f"{key}.{word}" if key else word
