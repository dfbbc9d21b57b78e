"""From the tree of a run to typed options: components looked up, their options validated, slots filled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from visioncore_engine.component import KINDS
from visioncore_engine.config.classes import options_class
from visioncore_engine.config.mistakes import FAILED, Path, problems_in
from visioncore_engine.config.node import Node, as_mapping, block_id, plain, spread_word
from visioncore_engine.config.owned import IMPORT_KEYS
from visioncore_engine.config.secrets import hides_password, is_secret_key
from visioncore_engine.config.words import allows_none, given, is_mapping, models_in, step_into
from visioncore_engine.errors import ConfigError, PluginError, Problem, nearest
from visioncore_engine.options import Choice, Options, Slot, slots
from visioncore_engine.registry import Entry, Registry

__all__ = ["Blocks"]

AnyOptions = TypeVar("AnyOptions", bound=Options)


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
        for word in sorted(IMPORT_KEYS & set(block.value)):
            what, todo = "import paths are not allowed", "use a registered name: `name`"
            self._fail(Problem(what=what, where=block.value[word].where, key=f"{key}.{word}", todo=todo))
            return None
        written = block.value.get("name")
        if name is not None and "id" in block.value and block.value["id"].value != name:
            what = f"the id says other than the key {name!r} of the block"
            self._fail(Problem(what=what, where=block.value["id"].where, key=f"{key}.id"))
        if written is not None:
            self._remember(f"{key}.name", written)
        reference = written.value if written is not None and written.value is not None else name
        unknown = not isinstance(reference, str) or (
            written is None and not self.registry.candidates(slot.kind, reference)
        )
        if unknown and self._misspells_name(block, key):
            return None
        if not isinstance(reference, str):
            names = ", ".join(self.registry.names(slot.kind)) or "none"
            what = f"the block does not say which {slot.kind} it is"
            self._fail(Problem(what=what, where=block.where, key=key, todo=f"give it a `name`; installed: {names}"))
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

    def _misspells_name(self, block: Node, key: str) -> bool:
        """Whether a block has a key that was meant to be `name`; that is told."""
        assert isinstance(block.value, dict)
        for word, child in block.value.items():
            if word != "name" and nearest(word, ["name"]):
                what, todo = f"unknown key {word!r}", "did you mean 'name'?"
                self._fail(Problem(what=what, where=child.where, key=f"{key}.{word}", todo=todo))
                return True
        return False

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
        if isinstance(blocks.value, list):
            self._fail_items(slot, blocks.value, key)
            return FAILED
        if node.name is not None or not isinstance(blocks.value, dict):
            what = f"expected a list of {KINDS[slot.kind].plural}, or a mapping from id to block"
            todo = "write it in a list: […]" if node.name is not None else ""
            self._fail(Problem(what=what, where=node.where, key=key, given=given(plain(node)), todo=todo))
            return FAILED
        self._remember(key, blocks)
        return [
            self._placeholder(self.choice(slot, block, f"{key}.{name}", name))
            for name, block in blocks.value.items()
            if self._is_there(name, block, f"{key}.{name}", blocks.value)
        ]

    def _fail_items(self, slot: Slot, items: list[Node], key: str) -> None:
        """Tell which items of a list are no blocks."""
        for number, item in enumerate(items):
            if block_id(item) is None:
                self.choice(slot, item, f"{key}.{number}")

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
