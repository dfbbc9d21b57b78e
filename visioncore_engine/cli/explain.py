"""Say where a value of a run comes from: every place where it was written, and which one holds."""

from __future__ import annotations

import argparse

from visioncore_engine.cli.layout import columns
from visioncore_engine.cli.parser import add_run, example, resolved_of
from visioncore_engine.config import Resolved

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("key", metavar="KEY", help="dotted key; blocks of a list by id")
    add_run(parser)
    example(
        parser,
        "visioncore explain optimizer.lr configs/demo.yaml",
        "visioncore explain callbacks.early_stopping configs/demo.yaml --set callbacks.early_stopping.patience=5",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the history of the key, or of every value below it."""
    resolved = resolved_of(arguments)
    history = resolved.history(arguments.key)
    below = _leaves(resolved, arguments.key)
    if below:
        start = len(arguments.key) + 1
        rows = [(key[start:], f"{resolved.history(key)[-1].text} ({resolved.origin(key)})") for key in below]
    else:
        *before, last = ((origin.where, origin.text) for origin in history)
        rows = [*before, (last[0], f"{last[1]} (holds)")]
    print(arguments.key)
    print("\n".join(columns(rows)))
    return 0


def _leaves(resolved: Resolved, key: str) -> list[str]:
    """Dotted keys of the values below a key, in the order of the run."""
    value = resolved.dump()
    for part in key.split("."):
        value = value[part]
    leaves: list[str] = []

    def walk(inside: object, path: str) -> None:
        if isinstance(inside, dict) and inside:
            for word, child in inside.items():
                walk(child, f"{path}.{word}")
        elif path != key:
            leaves.append(path)

    walk(value, key)
    return leaves
