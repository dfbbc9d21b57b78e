"""Names of groups and tasks as names of submodules."""

from __future__ import annotations

from urllib.parse import quote

from torch import nn

__all__ = ["module_name"]

_TAKEN = frozenset(dir(nn.ModuleDict()))


def module_name(name: str) -> str:
    """Name under which a group's module stands in an `nn.ModuleDict`; `urllib.parse.unquote` takes it back.

    Percent-encoded where torch forbids a character (``.``), where a pattern would read one as a wildcard (``*``), and
    in the first letter where the name is an attribute of every module (``keys``).

    Examples
    --------
    >>> module_name("m1.a"), module_name("keys")
    ('m1%2Ea', '%6Beys')
    """
    quoted = quote(name, safe="").replace(".", "%2E")
    return f"%{ord(quoted[0]):02X}{quoted[1:]}" if quoted in _TAKEN else quoted
