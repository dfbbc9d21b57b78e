"""What may stand in source files, seen without importing them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

# Words of one family of data: the engine serves others too, so a plugin has to bring them.
NEURAL = re.compile(
    r"\b(spik\w*|firing|fires|receptive|neuron\w*|neural|retin\w*|stimul\w*|robs|dfs|bits per|bits_per\w*|units\.csv|"
    r"session format)\b",
    re.IGNORECASE,
)
LONGEST = 400


def trees(modules: dict[str, Path], *packages: str) -> dict[str, ast.Module]:
    wanted = {name: path for name, path in modules.items() if name.split(".")[0] in packages}
    return {name: ast.parse(path.read_text(), str(path)) for name, path in wanted.items()}


def public_definitions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]


def exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return None


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def test_the_engine_has_no_word_that_only_neural_data_have(modules):
    found = [
        f"{path.name}:{number}: {match.group()}"
        for name, path in modules.items()
        if name.startswith("visioncore_engine")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for match in NEURAL.finditer(line)
    ]
    assert found == []


def test_exported_names_are_sorted_and_exist(modules, packages):
    for name, tree in trees(modules, *packages).items():
        names = exported(tree)
        if names is None:
            assert not public_definitions(tree) or name in packages, f"{name} has no __all__"
            continue
        assert names == sorted(names, key=order), f"{name}.__all__ is not sorted"
        bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        bound |= {node.name for node in public_definitions(tree)}
        bound |= {
            a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names
        }
        assert set(names) <= bound, f"{name}.__all__ names what is not there: {sorted(set(names) - bound)}"


def test_every_public_name_is_documented(modules, packages):
    missing = []
    for name, tree in trees(modules, *packages).items():
        if not ast.get_docstring(tree):
            missing.append(name)
        for node in public_definitions(tree):
            members = node.body if isinstance(node, ast.ClassDef) else []
            kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
            methods = [m for m in members if isinstance(m, kinds) and not m.name.startswith("_")]
            lines = modules[name].read_text().splitlines()
            missing += [f"{name}.{node.name}.{m.name}" for m in methods if not documented(m, lines)]
            missing += [f"{name}.{node.name}"] if not ast.get_docstring(node) else []
    assert missing == []


def documented(method: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> bool:
    """Has a docstring, is a setter (its property has one), or says on its first line why it needs none."""
    setter = any(ast.unparse(decorator).endswith(".setter") for decorator in method.decorator_list)
    return setter or bool(ast.get_docstring(method)) or "noqa: D102" in lines[method.lineno - 1]


def test_files_are_small(modules):
    long = {name: len(path.read_text().splitlines()) for name, path in modules.items()}
    assert {name: size for name, size in long.items() if size > LONGEST} == {}


@pytest.mark.parametrize("word", ["noqa", "type: ignore"])
def test_every_exemption_says_why(modules, word):
    """`# noqa: CODE - reason`, `# type: ignore[code]  # reason`."""
    reasons = {
        "noqa": re.compile(r"#\s*noqa: [A-Z]+\d+(, ?[A-Z]+\d+)* --? \S"),
        "type: ignore": re.compile(r"#\s*type: ignore\[[\w-]+(, ?[\w-]+)*\]\s+# \S"),
    }
    found = [
        f"{path.name}:{number}"
        for path in modules.values()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if word in line and not reasons[word].search(line)
    ]
    assert found == []
