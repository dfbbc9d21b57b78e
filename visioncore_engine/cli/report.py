"""Draw the report of a run again: report.html in its folder."""

from __future__ import annotations

import argparse

from visioncore_engine.cli.parser import add_plugins, example, selected_of

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run_dir", metavar="RUN_DIR", help="the run folder")
    add_plugins(parser)
    example(parser, "visioncore report runs/demo/20260101-120000")


def run(arguments: argparse.Namespace) -> int:
    """Draw it."""
    registry = selected_of(arguments)
    from visioncore_engine.report import write

    print(write(arguments.run_dir, registry=registry))
    return 0
