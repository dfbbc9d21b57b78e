"""The command line: ``visioncore <command>``. A command's module is imported only when it is called."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from visioncore_engine.cli.layout import columns
from visioncore_engine.cli.parser import Parser
from visioncore_engine.errors import EngineError, PluginError, Problem, StorageError, UsageError, UserError, nearest

if TYPE_CHECKING:
    from visioncore_engine.component import Command
    from visioncore_engine.registry import Declared

__all__ = ["main"]

# Every command is a module of this package with `arguments(parser)` and `run(arguments) -> exit code`.
_COMMANDS = {
    "plugins": "list plugins and what they provide",
    "show": "explain a component: its options, facts, contract and an example",
    "check": "find every mistake in a run file; --build goes on to build the model",
    "explain": "say where a value of a run comes from",
    "schema": "write the JSON Schema with which editors complete run files",
    "reference": "write a page of reference for each kind of component",
    "doctor": "look at this machine and at what is installed",
    "train": "train a run",
    "evaluate": "score a trained run",
    "new-plugin": "write a plugin that works at once: a package with tests, or one file",
    "checkpoint": "say what a checkpoint holds; carry one of an older format over",
    "report": "draw the report of a run again",
    "sweep": "carry out many runs from one file: grids, overlays, seeds, searches",
    "runs": "list runs: how far they have come, what they scored, in what they differ",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv
        Arguments after ``visioncore``; by default those of the process.

    Returns
    -------
    The exit code (`visioncore_engine.errors`); 0 for ``--help`` and ``--version``.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that lacks a letter must not end a command
        sys.stdout.reconfigure(errors="backslashreplace")
    debug = "--debug" in arguments
    try:
        code = _run([argument for argument in arguments if argument != "--debug"])
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has gone (`visioncore plugins | head`); nothing is wrong, and nothing can be said.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _say("interrupted", 143, debug)
    except UserError as error:
        return _say(str(error), error.exit_code, debug)
    except EngineError as error:
        text = str(error)
        text = text if text.startswith(error.label) else f"{error.label}: {text}"
        return _say(text, error.exit_code, debug or error.shows_traceback)
    except Exception as error:  # noqa: BLE001 - the outermost frame: whatever is left is a defect, and is shown whole
        if isinstance(error, OSError) and error.filename is not None:  # commands read and write what they are told to
            text = f"{StorageError.label}: {error.filename}: cannot be read or written: {error.strerror}"
            return _say(text, StorageError.exit_code, debug)
        text = "this is a defect of visioncore_engine or of a plugin named above: please report these lines"
        return _say(f"{text}, together with what `visioncore doctor` prints", 1, debug=True)
    return code


def _say(text: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(text, file=sys.stderr)
    return code


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0
    name, *rest = arguments
    if name == "--version":
        from visioncore_engine import __version__

        print(f"visioncore {__version__}")
        return 0
    parser = Parser(prog=f"visioncore {name}")
    if name in _COMMANDS:
        command = importlib.import_module(f"visioncore_engine.cli.{name.replace('-', '_')}")
        parser.description = command.__doc__
        command.arguments(parser)
        handler: Callable[..., int] = command.run
    else:
        handler = _plugin_command(name, parser)
    try:
        parsed = parser.parse_args(rest)
    except SystemExit as done:  # argparse has shown --help
        return int(done.code or 0)
    return int(handler(parsed))


def _plugin_commands() -> dict[str, Declared[Command]]:
    """Commands of plugins by name; ``plugin:name`` where several have one name, or it is one of ours."""
    from visioncore_engine.registry import discover

    declared = discover().commands()
    names = [item.value.name for item in declared]
    return {
        f"{item.plugin.name}:{item.value.name}"
        if names.count(item.value.name) > 1 or item.value.name in _COMMANDS
        else item.value.name: item
        for item in declared
    }


def _plugin_command(name: str, parser: Parser) -> Callable[..., int]:
    commands = _plugin_commands()
    declared = commands.get(name)
    if declared is None:
        close = nearest(name, [*_COMMANDS, *commands])
        head = f"did you mean {close!r}? " if close else ""
        todo = f"{head}commands: {', '.join([*_COMMANDS, *commands])}"
        raise UsageError(Problem(what=f"there is no command {name!r}", todo=todo))
    parser.description = declared.value.summary
    handler: Callable[..., int] = declared.load()(parser)
    if not callable(handler):
        raise PluginError(f"plugin {declared.plugin}: the command {name!r} did not return its handler")
    return handler


def _overview() -> str:
    lines = [
        "visioncore <command> [arguments]",
        "",
        "Trains what a run file names; every part of a run is a plugin.",
        "",
    ]
    lines += columns(_COMMANDS.items())
    added = {name: item.value.summary for name, item in _plugin_commands().items()}
    if added:
        lines += ["", "from plugins:", *columns(sorted(added.items()))]
    lines += ["", "visioncore <command> --help shows its arguments and an example;", "--debug shows tracebacks."]
    return "\n".join(lines)
