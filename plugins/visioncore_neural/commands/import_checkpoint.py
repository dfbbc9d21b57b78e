"""``visioncore import-checkpoint``: a checkpoint of another system as one of a run."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

__all__ = ["build"]


def build(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Add the arguments of ``visioncore import-checkpoint``.

    Parameters
    ----------
    parser
        The command's parser.

    Returns
    -------
    The handler.
    """
    parser.add_argument("checkpoint", metavar="OLD.ckpt", type=Path, help="a checkpoint of VisionCore")
    parser.add_argument(
        "--run", type=Path, nargs="+", required=True, metavar="RUN.yaml", help="run whose model it becomes"
    )
    parser.add_argument(
        "--lags", type=int, required=True, metavar="N", help="frames of the stimulus that its data served"
    )
    parser.add_argument(
        "--sessions", nargs="+", default=[], metavar="NAME", help="what it was trained with, in that order"
    )
    parser.add_argument(
        "--model", type=Path, metavar="MODEL.yaml", help="its model file, where the checkpoint has none"
    )
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="laid over the run"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="NEW.ckpt", help="checkpoint to write")
    parser.epilog = (
        "example:\n  visioncore import-checkpoint last.ckpt --run run.yaml --lags 33 --sessions m1_a m1_b -o new.ckpt"
    )
    return _run


def _run(arguments: argparse.Namespace) -> int:
    import sys

    from visioncore_neural.legacy.importing import import_checkpoint

    with warnings.catch_warnings():
        # Python hides such warnings from users, whom this one is for, and would show them a line of code with it.
        warnings.filterwarnings("always", category=DeprecationWarning, message=".*checkpoints of VisionCore")
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)  # noqa: T201 - a command
        account = import_checkpoint(
            arguments.checkpoint,
            arguments.run,
            arguments.out,
            num_lags=arguments.lags,
            sessions=arguments.sessions,
            model_file=arguments.model,
            sets=arguments.sets,
        )
    for line in account.lines():
        print(line)  # noqa: T201 - a command
    print(f"{arguments.out}: written; {arguments.checkpoint} is not needed any more")  # noqa: T201 - a command
    return 0
