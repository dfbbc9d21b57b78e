"""``${a.b}``: the value that the same run has at another key.

A value that is nothing but one reference keeps the type of what it refers to; inside a longer text a scalar is
written out. ``$${`` is a plain ``${``. Only values that are written in the run can be referred to: nothing is read
from the environment.
"""

from __future__ import annotations

import re
from dataclasses import replace

from visioncore_engine.config.node import Node, as_mapping, shown
from visioncore_engine.errors import ConfigError, Problem, nearest

__all__ = ["escape", "interpolate"]

_REFERENCE = re.compile(r"(?<!\$)\$\{([^{}]*)\}")
_OPEN = re.compile(r"(?<!\$)\$\{")
_KEY = re.compile(r"[\w-]+(\.[\w-]+)*")


def interpolate(root: Node) -> Node:
    """Replace every reference.

    Raises
    ------
    ConfigError
        With every reference that has no value, is not a key, or leads back to itself.
    """
    work = _Interpolation(root)
    done = work.walk(root, ())
    if work.problems:
        raise ConfigError(*dict.fromkeys(work.problems))
    return done


def escape(text: str) -> str:
    """Write a text so that it is read back as it is."""
    return text.replace("${", "$${")


class _Interpolation:
    def __init__(self, root: Node) -> None:
        self.root = root
        self.problems: list[Problem] = []

    def walk(self, node: Node, open_keys: tuple[str, ...]) -> Node:
        if isinstance(node.value, dict):
            return replace(node, value={key: self.walk(child, open_keys) for key, child in node.value.items()})
        if isinstance(node.value, list):
            return replace(node, value=[self.walk(child, open_keys) for child in node.value])
        if isinstance(node.value, str) and "${" in node.value:
            return self.text(node, node.value, open_keys)
        return node

    def text(self, node: Node, text: str, open_keys: tuple[str, ...]) -> Node:
        whole = _REFERENCE.fullmatch(text)
        if whole is not None:
            found = self.lookup(whole.group(1), node, open_keys)
            return node if found is None else replace(found, where=node.where, past=node.past)

        def written_out(match: re.Match[str]) -> str:
            found = self.lookup(match.group(1), node, open_keys)
            if found is not None and isinstance(found.value, dict | list):
                self.fail(node, f"{match.group()} is not a single value and cannot stand inside a text")
            return "" if found is None else found.value if isinstance(found.value, str) else shown(found)

        if len(_OPEN.findall(text)) > len(_REFERENCE.findall(text)):
            self.fail(node, "'${' is not closed; write '$${' for a plain '${'")
            return node
        return replace(node, value=_REFERENCE.sub(written_out, text).replace("$${", "${"), quoted=True)

    def lookup(self, key: str, asked: Node, open_keys: tuple[str, ...]) -> Node | None:
        """Value at a key, with its own references replaced."""
        reference = f"${{{key}}}"
        if not _KEY.fullmatch(key):
            only = "only keys of this run can be referred to; environment variables and functions are not read"
            self.fail(asked, f"the interpolation {reference} is not allowed: {only}")
            return None
        if key in open_keys:
            self.fail(asked, f"the interpolation leads back to itself: {' -> '.join((*open_keys, key))}")
            return None
        node: Node | None = self.root
        for part in key.split("."):
            inner = as_mapping(node) if node is not None and isinstance(node.value, list) else node
            keys = inner.value if inner is not None and isinstance(inner.value, dict) else {}
            node = keys.get(part)
            if node is None or node.value is None:
                close = nearest(part, keys)
                hint = f"did you mean {close!r}?" if close else "it must be a key that is written in the run"
                note = "; environment variables are not read" if key.isupper() else ""
                self.fail(asked, f"the interpolation {reference} has no value", f"{hint}{note}")
                return None
        assert node is not None
        return self.walk(node, (*open_keys, key))

    def fail(self, node: Node, what: str, todo: str = "") -> None:
        self.problems.append(Problem(what=what, where=node.where, todo=todo))
