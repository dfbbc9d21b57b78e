"""Writing a resolved run as YAML, each value with the place that it came from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from visioncore_engine.config.interpolation import escape

__all__ = ["flow", "to_yaml"]

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*")
_NOT_TEXT = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})  # the last for YAML 1.1


def to_yaml(content: Mapping[str, Any], origin: Callable[[str], str]) -> str:
    """Write plain values as YAML.

    Parameters
    ----------
    content
        Nested mappings, lists and scalars.
    origin
        Place of a dotted key; ``default`` is not written.
    """
    return "".join(f"{line}\n" for line in _mapping(content, "", 0, origin))


def _mapping(content: Mapping[str, Any], key: str, depth: int, origin: Callable[[str], str]) -> list[str]:
    lines = []
    for word, value in content.items():
        below = f"{key}.{word}" if key else word
        head = f"{'  ' * depth}{_scalar(word)}:"
        if isinstance(value, Mapping) and value:
            lines += [head, *_mapping(value, below, depth + 1, origin)]
        else:
            place = origin(below)
            lines.append(f"{head} {flow(value)}{'' if place == 'default' else f'  # {place}'}")
    return lines


def flow(value: Any) -> str:
    """Write a plain value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    return _scalar(value, escaped=True)


def _visible(letter: str) -> str:
    return letter if letter.isprintable() else f"\\U{ord(letter):08x}"


def _scalar(value: Any, *, escaped: bool = False) -> str:
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
            return value
        quoted = json.dumps(escape(value) if escaped else value, ensure_ascii=False)
        # JSON leaves characters as they are that YAML takes for ends of lines, or does not allow at all.
        return quoted if quoted.isprintable() else "".join(map(_visible, quoted))
    if isinstance(value, float):
        text = repr(value)
        # 1e-05 is a number for us, but text for a reader of YAML 1.1.
        return text if "." in text or "e" not in text else text.replace("e", ".0e")
    return json.dumps(value)
