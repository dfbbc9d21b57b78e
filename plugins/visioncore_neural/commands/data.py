"""``visioncore data``: write a demonstration, convert recordings to session folders, check them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

__all__ = ["build"]

_EXAMPLES = {
    "demo": "  visioncore data demo recordings",
    "convert": "  visioncore data convert retina.npz recordings --key trial=segment --axes TCW",
    "check": "  visioncore data check recordings --frames 32",
}
_Handler = Callable[[argparse.Namespace], int]


def build(parser: argparse.ArgumentParser) -> _Handler:
    """Add the arguments of ``visioncore data``.

    Parameters
    ----------
    parser
        The command's parser.

    Returns
    -------
    The handler.
    """
    parser.epilog = "\n".join(["examples:", *_EXAMPLES.values()])
    actions = parser.add_subparsers(required=True, metavar="demo|convert|check")
    demo = actions.add_parser("demo", help="simulate recordings and write them as session folders")
    demo.add_argument("out", metavar="OUT", type=Path, help="folder that receives the sessions")
    demo.add_argument("--seed", type=int, default=0, help="decides everything drawn")
    _add_set(demo, "an option of synthetic_v1, e.g. num_sessions=2")
    demo.set_defaults(action=_demo)
    convert = actions.add_parser("convert", help="write recordings of another format as session folders")
    convert.add_argument("sources", metavar="SRC", nargs="+", type=Path, help="files to read")
    convert.add_argument("out", metavar="OUT", type=Path, help="folder that receives the sessions")
    convert.add_argument("--overwrite", action="store_true", help="replace sessions that are there")
    convert.add_argument("--share-stimuli", action="store_true", help="store equal stimuli once, in OUT/stimuli")
    _add_reader(convert, "npz")
    convert.set_defaults(action=_convert)
    check = actions.add_parser("check", help="look at every value of recordings; exit 2 where one cannot be used")
    check.add_argument(
        "folders", metavar="FOLDER", nargs="+", type=Path, help="sessions, or folders that hold sessions"
    )
    check.add_argument("--frames", type=int, default=1, help="frames that a window needs, history and all")
    _add_reader(check, "folder")
    check.set_defaults(action=_check)
    for name, action in actions.choices.items():
        action.epilog = f"example:\n{_EXAMPLES[name]}"
    return _run


def _run(arguments: argparse.Namespace) -> int:
    action: _Handler = arguments.action
    return action(arguments)


def _say(text: str) -> None:
    print(text)  # noqa: T201 - the command line prints


def _add_set(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--set", action="append", default=[], dest="sets", metavar="KEY=VALUE", help=what)


def _add_reader(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--reader", default=default, help=f"reader by name (default: {default})")
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="OURS=THEIRS",
        help="name of an array in the file; empty: not read",
    )
    parser.add_argument("--axes", help="axes of the stimulus in the file's order, e.g. TCW")
    _add_set(parser, "another option of the reader, e.g. dt=0.02")


def _demo(arguments: argparse.Namespace) -> int:
    from visioncore_engine import resolve_part
    from visioncore_neural.data.folder import write_session
    from visioncore_neural.options.dataset import SyntheticOptions
    from visioncore_neural.simulation.session import simulate

    options = resolve_part(SyntheticOptions, {}, sets=arguments.sets)
    seed = arguments.seed if options.seed is None else options.seed
    for index in range(options.num_sessions):
        recording, _ = simulate(options, seed, index)
        write_session(recording, arguments.out / recording.name)
        _say(f"{arguments.out / recording.name}: {recording.num_frames} frames, {recording.num_units} units")
    return 0


def _convert(arguments: argparse.Namespace) -> int:
    from visioncore_neural.commands.settings import reader_of
    from visioncore_neural.data.convert import convert

    readers = [reader_of(arguments, path) for path in arguments.sources]
    for recording, folder in convert(
        readers, arguments.out, overwrite=arguments.overwrite, share_stimuli=arguments.share_stimuli
    ):
        shape = "x".join(str(size) for size in recording.stim.shape)
        _say(f"{folder}: stimulus {shape}, {recording.num_units} units, {recording.dt:g} s per frame")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from visioncore_engine.errors import DataError, Problem, UserError
    from visioncore_neural.commands.settings import reader_of, sessions_below
    from visioncore_neural.data.audit import audit

    errors: list[Problem] = []
    for path in sessions_below(arguments.folders, arguments):
        try:
            recording = reader_of(arguments, path).read()
            found = audit(recording, frames=arguments.frames)
        except UserError as error:  # every session is looked at before anything is refused
            errors += error.problems
            continue
        errors += found.errors
        verdict = f"{len(found.errors)} errors" if found.errors else "good"
        _say(f"{path}: {recording.num_frames} frames, {recording.num_units} units: {verdict}")
        for problem in found.warnings:
            _say(f"  warning: {problem}")
    if errors:
        raise DataError(*errors)
    return 0
