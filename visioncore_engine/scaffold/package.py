"""The files of a new plugin package."""

from __future__ import annotations

import json
from datetime import date
from string import Template

from visioncore_engine import __version__
from visioncore_engine.scaffold.imports import imports_of
from visioncore_engine.scaffold.names import Names
from visioncore_engine.scaffold.runfile import run_file
from visioncore_engine.scaffold.template import filled, module_sources, sections

__all__ = ["LICENSES", "package_files"]

LICENSES = ("MIT", "Apache-2.0", "BSD-3-Clause", "none")
"""Licences that a package may come with."""

_CASE = 'CASE = Case("$kind", "$name")'
_TEST_IMPORTS = """from collections.abc import Callable
from pathlib import Path
from visioncore_engine import resolve, train
from visioncore_engine.testing import Case, parametrize_with_checks
"""


def package_files(names: Names, *, license_name: str = "MIT", author: str = "") -> dict[str, str]:
    """Write a package with one component.

    Parameters
    ----------
    names
        What it is called.
    license_name
        One of `LICENSES`.
    author
        Who holds the copyright; by default the authors of the package, without a name.

    Returns
    -------
    Text by path, relative to the folder of the package.
    """
    values, modules = module_sources(names)
    own = sections(names.kind.name)
    author = author or f"the {names.distribution} authors"
    values |= {
        "author": author,
        "quoted_author": json.dumps(author, ensure_ascii=False),  # as TOML quotes too
        "year": str(date.today().year),  # noqa: DTZ011 - the year of the author's own calendar
        "engine": ".".join(__version__.split(".")[:2]),
        "description": f"{names.kind.name} for visioncore_engine: {own['summary']}".replace('"', "'"),
        "license_lines": "" if license_name == "none" else f'license = "{license_name}"\nlicense-files = ["LICENSE"]\n',
        "case": Template(own.get("case", _CASE)).substitute(values),
        "note": own.get("note", "The run needs nothing else, and trains in a few seconds."),
        "test_imports": imports_of([_TEST_IMPORTS, own.get("test_imports", "")], without=names.package),
        "helpers": f"{own['helpers']}\n" if "helpers" in own else "",
        "setup": f"{own['setup']}\n" if "setup" in own else "",
        "sets": own.get("sets", ""),
    }
    files = {
        ".github/workflows/test.yml": filled("package/ci.txt", values),
        ".gitignore": filled("package/gitignore.txt", values),
        "CHANGELOG.md": filled("package/changelog.txt", values),
        "README.md": filled("package/readme.txt", values),
        "pyproject.toml": filled("package/pyproject.txt", values),
        "run.yaml": run_file(names.kind.name, values),
        f"src/{names.package}/py.typed": "",
        f"tests/test_{names.name}.py": filled("package/test.txt", values),
    }
    files |= {f"src/{names.package}/{module}.py": source for module, source in modules.items()}
    if license_name != "none":
        files["LICENSE"] = filled(f"licenses/{license_name}.txt", values)
    return dict(sorted(files.items()))
