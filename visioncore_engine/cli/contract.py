"""What stands in the contracts of the kinds, read from their source: importing them would load torch."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path

__all__ = ["attributes_of", "text_of"]


@cache
def _classes() -> dict[str, ast.ClassDef]:
    specs = [importlib.util.find_spec(f"visioncore_engine.{package}") for package in ("contracts", "launch")]
    paths = [path for spec in specs if spec and spec.origin for path in Path(spec.origin).parent.glob("*.py")]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    return {node.name: node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)}


def attributes_of(name: str) -> list[tuple[str, str]]:
    """Attributes and methods of a class of the contract: name with type, and what its docstring says.

    Empty for a class that is not ours, such as ``torch.optim.Optimizer``.
    """
    found = _classes().get(name)
    if found is None:
        return []
    rows = []
    for node in found.body:
        if isinstance(node, ast.AnnAssign):
            rows.append((ast.unparse(node.target), ast.unparse(node.annotation)))
        elif isinstance(node, ast.FunctionDef):
            arguments = ", ".join(argument.arg for argument in node.args.args[1:])
            text = (ast.get_docstring(node) or "").partition("\n")[0]
            rows.append((f"{node.name}({arguments})", text))
    return rows


def text_of(name: str) -> str:
    """Docstring of a class of the contract; empty for a class that is not ours."""
    found = _classes().get(name)
    return (ast.get_docstring(found) or "") if found else ""
