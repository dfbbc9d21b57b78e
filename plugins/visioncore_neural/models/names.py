"""Group names as names of submodules, and back."""

from __future__ import annotations

from urllib.parse import quote, unquote

from torch import nn

__all__ = ["group_of", "module_name"]

_TAKEN = frozenset(dir(nn.ModuleDict()))


def module_name(group: str) -> str:
    """Name under which a group's module stands in an `nn.ModuleDict`; `group_of` takes it back.

    Percent-encoded where torch forbids a character (``.``), where a pattern would read one as a wildcard (``*``,
    ``?``, ``[``), and in the first letter where the name is an attribute of every module (``keys``).

    Examples
    --------
    >>> module_name("m1_2024-01-31.a")
    'm1_2024-01-31%2Ea'
    """
    name = quote(group, safe="").replace(".", "%2E")
    return f"%{ord(name[0]):02X}{name[1:]}" if name in _TAKEN else name


def group_of(name: str) -> str:
    """Group whose module has this name."""
    return unquote(name)
