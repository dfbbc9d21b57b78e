"""Write a page of reference for each kind: its contract, and each component with its options and an example."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from visioncore_engine.cli.pages import pages
from visioncore_engine.cli.parser import add_plugins, example, registry_of
from visioncore_engine.errors import PluginError, Problem, UsageError, nearest

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", metavar="FOLDER", help="folder that receives the pages")
    parser.add_argument("--only", action="append", default=[], metavar="PLUGIN", help="describe only what it provides")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a page is not up to date")
    add_plugins(parser)
    example(parser, "visioncore reference docs/components --only my_lab")


def run(arguments: argparse.Namespace) -> int:
    """Write or check the pages."""
    registry, folder = registry_of(arguments), Path(arguments.folder)
    known = [plugin.name for plugin in registry.plugins]
    for name in arguments.only:
        if name not in known:
            close = nearest(name, known)
            todo = f"did you mean {close!r}?" if close else f"there are: {', '.join(known)}"
            raise PluginError(Problem(what="there is no such plugin", key="--only", given=repr(name), todo=todo))
    words = [arguments.folder, *(word for name in arguments.only for word in ("--only", name))]
    command = f"visioncore reference {shlex.join(words)}"
    texts = pages(registry, arguments.only, command)
    if arguments.check:
        stale = [path for path, text in texts.items() if _read(folder / path) != text]
        if stale:
            what = f"{', '.join(stale)} no longer say what is declared"
            raise UsageError(Problem(where=str(folder), what=what, todo=f"write them again: {command}"))
        return 0
    for path, text in texts.items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    print(f"wrote {len(texts)} pages to {folder}")
    return 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
