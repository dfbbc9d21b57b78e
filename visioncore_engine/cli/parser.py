"""Arguments that several commands share."""

from __future__ import annotations

import argparse
import json
import os
from typing import TYPE_CHECKING, NoReturn

from visioncore_engine.errors import Problem, UsageError

if TYPE_CHECKING:
    from visioncore_engine.config import Resolved
    from visioncore_engine.registry import Registry

__all__ = [
    "Parser",
    "add_plugins",
    "add_run",
    "add_sets",
    "example",
    "registry_of",
    "resolved_of",
    "selected_of",
    "sets_of",
]


class Parser(argparse.ArgumentParser):
    """A parser that raises `UsageError` instead of ending the process."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog=prog, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise a mistake of the user."""
        raise UsageError(Problem(what=message, todo=f"see {self.prog} --help"))


def example(parser: argparse.ArgumentParser, *lines: str) -> None:
    """Put examples at the end of ``--help``."""
    parser.epilog = "\n".join(["examples:", *(f"  {line}" for line in lines)])


def add_plugins(parser: argparse.ArgumentParser) -> None:
    """Add ``--plugin FILE``, ``--allow NAME`` and ``--block NAME``."""
    parser.add_argument("--plugin", action="append", default=[], metavar="FILE", help="also load this file as a plugin")
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="NAME",
        help="import only this plugin or distribution",
    )
    parser.add_argument(
        "--block", action="append", default=[], metavar="NAME", help="do not import this plugin or distribution"
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the run file with its overlays, ``--set``, ``--plugin`` and ``--block``."""
    parser.add_argument("run_file", metavar="RUN.yaml", help="the run file")
    parser.add_argument(
        "overlays", nargs="*", default=[], metavar="OVERLAY.yaml", help="files that are laid over it, in this order"
    )
    add_sets(parser)
    add_plugins(parser)


def add_sets(parser: argparse.ArgumentParser) -> None:
    """Add ``--set``."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="sets",
        metavar="KEY=VALUE",
        help="lay one value over the files, e.g. optimizer.lr=1e-4; blocks of a list by id; null removes",
    )


def resolved_of(arguments: argparse.Namespace) -> Resolved:
    """Resolve what the arguments of `add_run` name, with the secrets that a launcher handed on."""
    from visioncore_engine.config import resolve
    from visioncore_engine.secrets import SECRETS_VARIABLE

    paths = [arguments.run_file, *arguments.overlays]
    sets = [*json.loads(os.environ.get(SECRETS_VARIABLE, "[]")), *sets_of(arguments)]
    return resolve(paths, sets, plugin_files=arguments.plugin, block=arguments.block)


def sets_of(arguments: argparse.Namespace) -> list[str]:
    """What ``--set`` says, and ``--allow``: a word of the run, so that it is recorded and reaches every process."""
    allow = [f"plugins.allow={json.dumps(arguments.allow)}"] if arguments.allow else []
    return [*arguments.sets, *allow]


def registry_of(arguments: argparse.Namespace) -> Registry:
    """Discover what the arguments of `add_plugins` name."""
    from visioncore_engine.registry import discover

    return discover(allow=arguments.allow, block=arguments.block, files=arguments.plugin)


def selected_of(arguments: argparse.Namespace) -> Registry | None:
    """As `registry_of`; None where the arguments name nothing, so that the run folder says which plugins it is."""
    return registry_of(arguments) if arguments.plugin or arguments.allow or arguments.block else None
