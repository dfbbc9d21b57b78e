"""The small run that a new plugin comes with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Template

from visioncore_engine.scaffold.template import filled, sections

__all__ = ["run_file"]

_BLOCK = re.compile(r"^(?=[\w#])", re.MULTILINE)


def run_file(kind: str, values: Mapping[str, str]) -> str:
    """Write a run that uses the component: one of the runs of the templates, with the kind's own blocks in it."""
    own = sections(kind)
    blocks = _blocks(filled(f"runfiles/{own['base']}.txt", values))
    blocks |= _blocks(Template(own["run"]).substitute(values) + "\n")
    return "".join(blocks.values())


def _blocks(text: str) -> dict[str, str]:
    """Split a run file at its top-level keys."""
    return {block.partition(":")[0]: block for block in _BLOCK.split(text) if block}
