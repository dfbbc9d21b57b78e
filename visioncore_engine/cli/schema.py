"""Write a JSON Schema (2020-12) over the installed plugins, with which editors complete and check run files."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from visioncore_engine.cli.parser import add_plugins, example, registry_of

__all__ = ["FILE", "arguments", "run"]

FILE = ".visioncore/schema.json"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--write", action="store_true", help=f"write {FILE} rather than print it")
    add_plugins(parser)
    example(parser, "visioncore schema --write", "visioncore schema > schema.json")


def run(arguments: argparse.Namespace) -> int:
    """Print or write the schema."""
    from visioncore_engine.config.schema import schema

    made, problems = schema(registry_of(arguments))
    for problem in problems:
        print(f"warning: {problem}; it is not in the schema", file=sys.stderr)
    if not arguments.write:
        print(json.dumps(made, indent=1))
        return 0
    path = Path(FILE)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(made, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"wrote {path}; put this line at the top of a run file (the path is relative to it):")
    print(f"# yaml-language-server: $schema={FILE}")
    return 0
