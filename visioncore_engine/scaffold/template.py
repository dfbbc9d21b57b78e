"""Templates: text files in the wheel, with ``$name`` where a name goes (`string.Template`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from string import Template

from visioncore_engine.scaffold.imports import imports_of
from visioncore_engine.scaffold.names import Names

__all__ = ["filled", "module_sources", "sections"]

_SECTION = re.compile(r"^=== (\w+)\n", re.MULTILINE)
_OPTIONS = "from pydantic import Field\nfrom visioncore_engine.options import {base}\n"


def filled(path: str, values: Mapping[str, str]) -> str:
    """Read a template and put values in the place of names; one without a value is a defect of the template."""
    return Template(_read(path)).substitute(values)


@cache
def sections(kind: str) -> Mapping[str, str]:
    """Parts of a kind's template by name: what differs between kinds, and nothing else."""
    _, *parts = _SECTION.split(_read(f"kinds/{kind}.txt"))
    return {name: text.removesuffix("\n") for name, text in zip(parts[::2], parts[1::2], strict=True)}


def module_sources(names: Names) -> tuple[dict[str, str], dict[str, str]]:
    """Write the three modules of a plugin.

    Returns
    -------
    values
        What stands for each name in other templates.
    modules
        Source by name of the module: ``__init__``, ``options``, and the kind.
    """
    kind, own = names.kind, sections(names.kind.name)
    base = kind.options.partition(":")[2]
    part = own["part"]
    values = {
        "kind": kind.name,
        "plural": kind.plural,
        "name": names.name,
        "package": names.package,
        "distribution": names.distribution,
        "module": kind.name,
        "Class": names.builder_class,
        "Options": names.options_class,
        "Base": base,
        "builder": "build" if "\ndef build(" in part else names.builder_class,
        "summary": own["summary"],
    }
    values["fields"] = Template(own["fields"]).substitute(values)
    imports = [_OPTIONS.format(base=base), own.get("imports", "")]
    values["option_imports"] = imports_of(imports, without=names.package) + "\n"
    modules = {
        "__init__": filled("package/declaration.txt", values),
        "options": filled("package/options.txt", values),
        kind.name: Template(part).substitute(values) + "\n",
    }
    return values, modules


def _read(path: str) -> str:
    return (files(__package__) / "templates" / path).read_text(encoding="utf-8")
