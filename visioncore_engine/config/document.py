"""Strict YAML: one mapping per document, unique text keys, no tags, and words that mean what they look like.

Plain scalars follow YAML 1.2: only ``true`` and ``false`` are booleans (``no`` and ``on`` stay text), ``1e-3`` is a
number, dates and ``1:30:00`` stay text, and ``010`` is refused, because half of all readers take it for 8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import yaml
import yaml.reader

from visioncore_engine.config.node import Node, Scalar
from visioncore_engine.errors import ConfigError, Problem

__all__ = ["parse_value", "read"]

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_OCTAL = re.compile(r"[-+]?0[0-9]+")
_NOT_FINITE = {".nan": float("nan"), ".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf")}
_WORDS: dict[str, Scalar] = {"": None, "~": None, "null": None, "true": True, "false": False, **_NOT_FINITE}
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff]")

_MAX_DEPTH = 50
_MAX_ALIASED = 10_000  # values that aliases may stand for, all together


def read(path: Path, shown_as: str) -> Node:
    """Read a run file.

    Parameters
    ----------
    path, shown_as
        The file, and how messages call it.

    Raises
    ------
    ConfigError
        With every mistake that could be found, each with its line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(Problem(what=f"cannot be read: {error.strerror}", where=shown_as)) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"not UTF-8 text at byte {error.start}"
        raise ConfigError(Problem(what=what, where=shown_as, todo="save the file as UTF-8")) from error
    root = _Composer(text, shown_as).root()
    if root is None or root.value is None:
        raise ConfigError(Problem(what="the file is empty", where=shown_as))
    if not isinstance(root.value, dict):
        given = "a list" if isinstance(root.value, list) else f"the value {root.value!r}"
        raise ConfigError(
            Problem(what="the top level must be a mapping of keys to values", where=root.where, given=given)
        )
    return root


def parse_value(text: str, where: str) -> Node:
    """Read the right-hand side of ``--set key=value``; `where` is what messages call it."""
    root = _Composer(text, where, numbered=False).root()
    return Node(None, where) if root is None else root


class _Composer:
    """Builds nodes from the events of PyYAML's parser, and collects mistakes on the way."""

    def __init__(self, text: str, name: str, *, numbered: bool = True) -> None:
        self.text = text
        self.name = name
        self.numbered = numbered
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node | None] = {}  # None while the anchored value is still open
        self.aliased = 0
        self.events: Iterator[yaml.Event] = iter(())

    def root(self) -> Node | None:
        """Compose the only document; None where there is none."""
        control = _CONTROL.search(self.text)
        if control is not None:
            line = self.text.count("\n", 0, control.start())
            raise self._failure(line, f"the character U+{ord(control.group()):04X} is not allowed")
        self.events = yaml.parse(self.text, Loader=yaml.SafeLoader)
        root = None
        try:
            for event in self.events:
                if isinstance(event, yaml.DocumentStartEvent):
                    if root is not None:
                        raise self._failure(_line(event), "a second document begins here; write one per file")
                    root = self._compose(next(self.events), 1)
        except yaml.reader.ReaderError as error:
            line = self.text.count("\n", 0, error.position)
            raise self._failure(line, f"a character is not allowed: {error.reason}") from error
        except yaml.MarkedYAMLError as error:
            raise self._syntax(error) from error
        if self.problems:
            raise ConfigError(*self.problems)
        return root

    def _where(self, line: int) -> str:
        return f"{self.name}:{line + 1}" if self.numbered else self.name

    def _note(self, line: int, what: str, *, given: str | None = None, todo: str = "") -> None:
        self.problems.append(Problem(what=what, where=self._where(line), given=given, todo=todo))

    def _failure(self, line: int, what: str) -> ConfigError:
        """Give up on the file: what follows cannot be understood."""
        self._note(line, what)
        return ConfigError(*self.problems)

    def _syntax(self, error: yaml.MarkedYAMLError) -> ConfigError:
        mark = error.problem_mark or error.context_mark
        line = mark.line if mark is not None else 0
        lines = self.text.split("\n")
        indent = re.match(r"\s*", lines[line] if line < len(lines) else "")
        if indent is not None and "\t" in indent.group():
            return self._failure(line, "a tab is used for indentation; write spaces")
        context = f" ({error.context})" if error.context else ""
        return self._failure(line, f"this is not YAML: {error.problem}{context}")

    def _compose(self, event: yaml.Event, depth: int) -> Node:
        line = _line(event)
        if depth > _MAX_DEPTH:
            raise self._failure(line, f"nested deeper than {_MAX_DEPTH}")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor, line)
        assert isinstance(event, yaml.NodeEvent)
        anchor = event.anchor
        if anchor is not None:
            self.anchors[anchor] = None
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._note(line, "tags are not allowed", given=tag)
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Node(self._items(depth), self._where(line))
        else:
            node = Node(self._pairs(depth), self._where(line))
        if anchor is not None:
            self.anchors[anchor] = node
        return node

    def _items(self, depth: int) -> list[Node]:
        items = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._compose(event, depth + 1))
        return items

    def _pairs(self, depth: int) -> dict[str, Node]:
        pairs: dict[str, Node] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            line = _line(event)
            key = self._compose(event, depth + 1)
            value = replace(self._compose(next(self.events), depth + 1), where=self._where(line))
            if key.value == "<<" and not key.quoted:
                self._note(line, "merge keys (<<) are not allowed", todo="use `extends` or write the keys")
            elif not isinstance(key.value, str):
                given = "a block" if isinstance(key.value, dict | list) else str(key.value).lower()
                self._note(line, "keys must be text", given=given, todo="quote it")
            elif key.value in pairs:
                first = pairs[key.value].where.rpartition(":")[2]
                self._note(line, f"duplicate key {key.value!r}, written at lines {first} and {line + 1}")
            else:
                pairs[key.value] = value
        return pairs

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Node:
        where = self._where(line)
        if any("\ud800" <= letter <= "\udfff" for letter in event.value):
            self._note(line, "half of a surrogate pair is not a character")
        if event.style is not None:
            return Node(event.value, where, quoted=True)
        text = event.value
        if text in _WORDS:
            return Node(_WORDS[text], where)
        if _OCTAL.fullmatch(text):
            meant = text.lstrip("+-0") or "0"
            self._note(line, "an octal-looking number", given=text, todo=f"write {meant}, or quote it where it is text")
        if len(text) < 400 and _INTEGER.fullmatch(text):
            return Node(int(text), where)
        if _FLOAT.fullmatch(text):
            return Node(float(text), where)
        return Node(text, where)

    def _alias(self, anchor: str | None, line: int) -> Node:
        if anchor is None or anchor not in self.anchors:
            raise self._failure(line, f"there is no anchor &{anchor} above")
        node = self.anchors[anchor]
        if node is None:
            raise self._failure(line, f"the alias *{anchor} contains itself")
        self.aliased += _size(node, _MAX_ALIASED)
        if self.aliased > _MAX_ALIASED:
            raise self._failure(line, f"too many YAML aliases: they stand for more than {_MAX_ALIASED} values")
        return node


def _line(event: yaml.Event) -> int:
    return 0 if event.start_mark is None else event.start_mark.line


def _size(node: Node, limit: int) -> int:
    """Count the values below a node, giving up above `limit`."""
    size, stack = 0, [node]
    while stack and size <= limit:
        size += 1
        value = stack.pop().value
        stack += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return size
