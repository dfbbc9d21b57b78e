"""Find every mistake in a run file and in the headers of its data. Nothing is trained, torch is not imported."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from visioncore_engine.cli.layout import columns
from visioncore_engine.cli.parser import add_run, example, resolved_of
from visioncore_engine.config import Resolved

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_run(parser)
    parser.add_argument("--build", action="store_true", help="also open the data and build the model (imports torch)")
    parser.add_argument("--no-data", action="store_true", help="the data are not here: check the run file alone")
    parser.add_argument("--print", action="store_true", help="print the resolved run, each value with its origin")
    example(
        parser,
        "visioncore check configs/demo.yaml",
        "visioncore check configs/demo.yaml --set optimizer.lr=1e-4 --build",
    )


def run(arguments: argparse.Namespace) -> int:
    """Check, and say what was chosen."""
    resolved = resolved_of(arguments)
    if arguments.print:
        print(resolved.to_yaml(), end="")
        return 0
    if not arguments.no_data:
        resolved.check_data()
    print(f"{arguments.run_file}: no mistake found")
    print("\n".join(columns((key, f"{choice.name} ({choice.plugin})") for key, choice in resolved.choices())))
    _tell_stale_schema(resolved)
    if arguments.build:
        from visioncore_engine.run import dry_build

        print(dry_build(resolved))
    return 0


def _tell_stale_schema(resolved: Resolved) -> None:
    """Say so where the schema of this folder was made for other plugins than those that are installed."""
    from visioncore_engine.cli.schema import FILE

    path = Path(FILE)
    if not path.is_file():
        return
    from visioncore_engine.config.schema import HASH, plugins_hash

    try:
        made_for = json.loads(path.read_text(encoding="utf-8")).get(HASH)
    except (ValueError, AttributeError):  # not ours, or damaged: then it is stale too
        made_for = None
    if made_for != plugins_hash(resolved.registry):
        print(f"note: {path} was made for other plugins; run `visioncore schema --write`")
