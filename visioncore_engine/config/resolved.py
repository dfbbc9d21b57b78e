"""A resolved run: typed, filled with every default, and each value with the place that it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from visioncore_engine.config.checks import each_choice
from visioncore_engine.config.examples import default_of
from visioncore_engine.config.node import Node, Origin
from visioncore_engine.config.run import RunConfig
from visioncore_engine.config.text import flow, to_yaml
from visioncore_engine.errors import ConfigError, DataError, Problem, nearest
from visioncore_engine.options import Choice, slots
from visioncore_engine.registry import Registry
from visioncore_engine.secrets import HIDDEN, SECRETS_VARIABLE, hidden_keys, is_secret_key, redact

__all__ = ["Resolved"]


@dataclass(frozen=True)
class Resolved:
    """What `resolve` returns.

    Attributes
    ----------
    run
        The typed run.
    registry
        The plugins that it was resolved with.
    files
        The files that it was composed of, in the order in which they were laid over each other.
    places
        Node of each dotted key that was written.
    references
        ``plugin:name`` where the run file says that rather than the name, by dotted key of the block.
    """

    run: RunConfig
    registry: Registry
    files: tuple[str, ...]
    places: Mapping[str, Node]
    references: Mapping[str, str]

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.run.run.name or "run"

    def choices(self) -> Iterator[tuple[str, Choice]]:
        """Every selected block with its dotted key."""
        return each_choice(self.run)

    def origin(self, key: str) -> str:
        """Place where the value of a dotted key was written: ``file:line``, ``--set key``, or ``default``."""
        node = self.places.get(key)
        return "default" if node is None or node.value is None else node.where

    def where(self, key: str) -> str:
        """Place to name in a message about a key: where it, or the nearest thing above it, was written."""
        while key:
            if key in self.places:
                return self.places[key].where
            key = key.rpartition(".")[0]
        return self.files[0] if self.files else ""

    def folder(self, key: str) -> Path:
        """Folder of the file in which a key was written: what a relative path in its value starts from."""
        place = self.origin(key).rpartition(":")[0]
        return Path(place).parent if place in self.files else Path()

    def check_data(self) -> None:
        """Look at the headers of the data, which must be on this machine; torch is not needed.

        Raises
        ------
        DataError
            With everything that the plugins find wrong (`hookspecs.visioncore_data_checks`).
        """
        found = self.registry.data_checks(self.run)
        if found:
            raise DataError(*(replace(told, where=told.where or self.where(told.key)) for told in found))

    def history(self, key: str) -> tuple[Origin, ...]:
        """Every value that was written at a key, oldest first; the last one holds, and may be the default.

        Raises
        ------
        ConfigError
            Where the run has no such key; names the nearest.
        """
        value: Any = self.dump()
        for number, part in enumerate(key.split(".")):
            if not isinstance(value, dict) or part not in value:
                inside = list(value) if isinstance(value, dict) else []
                close = nearest(part, inside)
                above = ".".join(key.split(".")[:number])
                head = f"did you mean {close!r}? " if close else ""
                todo = f"{head}there are: {', '.join(inside) or 'none'}"
                raise ConfigError(Problem(what=f"there is no {part!r}", key=above, todo=todo))
            value = value[part]
        default, node = self._default(key), self.places.get(key)
        if node is None:
            return (default or Origin("default", json.dumps(value)),)
        history = (*([default] if default else ()), *node.history)
        if is_secret_key(key.rpartition(".")[2]):
            return tuple(Origin(origin.where, HIDDEN) for origin in history)
        return history

    def _default(self, key: str) -> Origin | None:
        """What an option is where nobody writes it, and whose it is; None for blocks and for what must be written."""
        above, _, name = key.rpartition(".")
        owners = {found: choice for found, choice in self.choices() if above == found or above.startswith(f"{found}.")}
        owner = max(owners, key=len, default="")
        inside: Any = owners[owner].options if owner else self.run
        for part in above.removeprefix(owner).strip(".").split("."):
            inside = getattr(inside, part, None) if part else inside
        if not isinstance(inside, BaseModel) or name not in type(inside).model_fields:
            return None
        field = type(inside).model_fields[name]
        if name in slots(type(inside)) or field.is_required():
            return None
        value = default_of(field)
        whose = f"default of {owners[owner].kind} {owners[owner].name}" if owner else "default"
        return None if isinstance(value, dict) else Origin(whose, json.dumps(value))

    def dump(self) -> dict[str, Any]:
        """Return the run as plain values, filled with every default; lists of blocks as mappings id -> block.

        `resolve` takes it back and gives an equal run. Only secrets are not in it: what is written, logged or
        hashed is made of this.
        """
        content: dict[str, Any] = redact(self._dump(self.run, ""))
        return content

    def secrets(self) -> tuple[str, ...]:
        """What `dump` hides, as ``key=value`` for ``--set``: for processes that are started with what it gave.

        Raises
        ------
        ConfigError
            Where the run itself was resolved from hidden values.
        """
        whole = self._dump(self.run, "")
        problems = [
            Problem(
                what="this value was hidden when the run was written",
                where=self.where(key),
                key=key,
                todo=f"give it again: --set {key}=…, or in the environment variable {SECRETS_VARIABLE}",
            )
            for key in hidden_keys(whole)
        ]
        if problems:
            raise ConfigError(*problems)
        return tuple(f"{key}={flow(_value(whole, key))}" for key in hidden_keys(redact(whole)))

    def to_yaml(self) -> str:
        """Return the run as a run file that resolves to the same run; each value that is no default says whence."""
        return to_yaml(self.dump(), self.origin)

    @property
    def digest(self) -> str:
        """SHA-256 of the filled run: equal for equal runs, however they were written."""
        # Order is kept, because the order of stages and transforms is part of the run.
        text = json.dumps(self.dump(), separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def _dump(self, options: BaseModel, key: str) -> dict[str, Any]:
        found = slots(type(options))
        filled: dict[str, Any] = options.model_dump(mode="json", exclude=set(found))
        content: dict[str, Any] = {}
        for name in type(options).model_fields:
            value = getattr(options, name)
            below = f"{key}.{name}" if key else name
            if name in found and found[name].many:
                content[name] = {choice.id: self._dump_block(choice, f"{below}.{choice.id}") for choice in value}
            elif isinstance(value, Choice):
                content[name] = self._dump_block(value, below)
            elif isinstance(value, BaseModel):
                content[name] = self._dump(value, below)
            else:
                content[name] = filled.get(name)
        return content

    def _dump_block(self, choice: Choice, key: str) -> dict[str, Any]:
        return {"name": self.references.get(key, choice.name), **self._dump(choice.options, key)}


def _value(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree[part]
    return tree
