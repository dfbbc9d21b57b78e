"""``visioncore import-config``: a run file from another system's configuration and command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

__all__ = ["build"]


def build(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Add the arguments of ``visioncore import-config``.

    Parameters
    ----------
    parser
        The command's parser.

    Returns
    -------
    The handler.
    """
    parser.add_argument("--from", dest="system", choices=["visioncore"], required=True, help="whose files they are")
    parser.add_argument("-o", "--out", type=Path, help="run file to write; by default it is printed")
    parser.add_argument(
        "--for-weights", action="store_true", help="a model that takes old weights, for `visioncore import-checkpoint`"
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="file of the model")
    parser.add_argument("datasets", metavar="DATASETS", type=Path, help="file of the datasets")
    parser.add_argument("flags", metavar="-- FLAGS", nargs=argparse.REMAINDER, help="its command line, without script")
    parser.epilog = (
        "example:\n  visioncore import-config --from visioncore -o run.yaml model.yaml datasets.yaml -- "
        "--batch_size 256 --lr_scheduler cosine_warmup"
    )
    return _run


def _run(arguments: argparse.Namespace) -> int:
    import sys

    import yaml

    from visioncore_engine import resolve
    from visioncore_engine.errors import Problem, UsageError
    from visioncore_neural.imports.config import import_visioncore

    words = [word for place, word in enumerate(arguments.flags) if place or word != "--"]  # versions of Python differ
    run, ledger = import_visioncore(arguments.model, arguments.datasets, words, for_weights=arguments.for_weights)
    resolve(run)  # what is written is a run file that `check` accepts
    text = yaml.safe_dump(run, sort_keys=False, allow_unicode=True)
    if arguments.out is None:
        print(text, end="")  # noqa: T201 - a command
    elif arguments.out.exists():
        raise UsageError(Problem(where=str(arguments.out), what="exists already", todo="choose another name"))
    else:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text, encoding="utf-8")
        print(f"{arguments.out}: written; look at it with `visioncore check {arguments.out} --no-data`")  # noqa: T201 - a command
    for line in ledger.lines():
        print(line, file=sys.stderr if arguments.out is None else sys.stdout)
    return 0
