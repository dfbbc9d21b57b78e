"""The imports of modules that are written from parts, in the order in which linters want them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable

__all__ = ["body_of", "imports_of"]

_LINE = 120


def imports_of(sources: Iterable[str], *, without: str) -> str:
    """Merge the import statements of several modules.

    Parameters
    ----------
    sources
        Source of each module; what stands in functions is left alone.
    without
        Package whose own modules are not imported: they are among `sources`.

    Returns
    -------
    Blocks of lines: the standard library, then the rest.
    """
    plain: set[tuple[str, str]] = set()
    members: dict[str, set[str]] = {}
    for node in (node for source in sources for node in ast.parse(source).body):
        if isinstance(node, ast.Import):
            plain |= {(alias.name, alias.asname or "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] != without:
            members.setdefault(node.module, set()).update(alias.name for alias in node.names)
    members.pop("__future__", None)
    blocks = []
    for ours in (True, False):
        lines = [
            f"import {name}{f' as {alias}' if alias else ''}" for name, alias in sorted(plain) if _stdlib(name) == ours
        ]
        lines += [
            _line(module, sorted(members[module], key=_order)) for module in sorted(members) if _stdlib(module) == ours
        ]
        if lines:
            blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def body_of(source: str) -> str:
    """Return what a module holds beside its docstring, its imports and its ``__all__``."""
    lines = source.splitlines()
    kept = [node for node in ast.parse(source).body if not _is_head(node)]
    decorators = [decorator.lineno for decorator in getattr(kept[0], "decorator_list", [])]
    return "\n".join(lines[min([kept[0].lineno, *decorators]) - 1 :])


def _is_head(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]) == "__all__"
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return docstring or isinstance(node, ast.Import | ast.ImportFrom)


def _stdlib(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def _order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2), name


def _line(module: str, names: list[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    return (
        line if len(line) <= _LINE else "\n".join([f"from {module} import (", *(f"    {name}," for name in names), ")"])
    )
