"""A new plugin in one file, for ``--plugin``."""

from __future__ import annotations

from visioncore_engine.scaffold.imports import body_of, imports_of
from visioncore_engine.scaffold.names import Names
from visioncore_engine.scaffold.template import module_sources

__all__ = ["single_file"]


def single_file(names: Names) -> str:
    """Write the declaration, the options and the component one after another; addresses look in the file itself."""
    _, modules = module_sources(names)
    bodies = [body_of(source) for source in modules.values()]
    bodies[0] = (
        bodies[0].replace(f'"{names.package}.options:', '":').replace(f'"{names.package}.{names.kind.name}:', '":')
    )
    head = [
        f'"""The {names.kind.name} `{names.name}`: use it with ``--plugin``. One file is enough for an experiment."""',
        "from __future__ import annotations",
        imports_of(modules.values(), without=names.package),
    ]
    return "\n\n".join(head) + "\n\n\n" + "\n\n\n".join(bodies) + "\n"
