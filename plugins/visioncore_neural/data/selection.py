"""Which recordings can stand side by side, and what of them a run uses."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

import numpy as np

from visioncore_engine.errors import DataError, Problem, nearest
from visioncore_neural.recording import PREVIOUS, Recording

__all__ = ["collect", "refuse_mixtures", "select_units", "side_inputs"]

In = TypeVar("In")
Out = TypeVar("Out")


def collect(function: Callable[[In], Out], items: Iterable[In]) -> tuple[Out, ...]:
    """Apply a function to every item and tell what is wrong with all of them at once.

    Raises
    ------
    DataError
        With the problems of every item that raised one.
    """
    done: list[Out] = []
    problems: list[Problem] = []
    for item in items:
        try:
            done.append(function(item))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(*problems)
    return tuple(done)


def refuse_mixtures(recordings: Sequence[Recording]) -> None:
    """Refuse recordings that share a name or differ in their time step.

    Raises
    ------
    DataError
        With every such pair.
    """
    if not recordings:
        raise DataError(Problem(key="data", what="there is no recording"))
    twice = [name for name, times in Counter(recording.name for recording in recordings).items() if times > 1]
    problems = [
        Problem(
            where=" and ".join(recording.path or "memory" for recording in recordings if recording.name == name),
            what="two sessions have one name",
            given=name,
            todo="session names identify heads, tables and checkpoints; rename one",
        )
        for name in twice
    ]
    first = recordings[0]
    problems += [
        Problem(
            where=recording.where,
            key="dt",
            what=f"session {first.name!r} has {first.dt:g} s per frame",
            given=f"{recording.dt:g} s",
            todo="bring all sessions to one rate",
        )
        for recording in recordings
        if not math.isclose(recording.dt, first.dt, rel_tol=1e-3)
    ]
    if problems:
        raise DataError(*problems)


def side_inputs(recordings: Sequence[Recording], asked: tuple[str, ...] | None) -> tuple[str, ...]:
    """Side inputs that are served: those asked for, else `behavior` where all recordings have it.

    Raises
    ------
    DataError
        For each recording that lacks one that was asked for.
    """
    if asked is None:
        return ("behavior",) if all(recording.behavior is not None for recording in recordings) else ()
    lacking = [
        Problem(where=recording.where, key="data.side", what=f"the session has no {name!r}")
        for name in asked
        for recording in recordings
        if name != PREVIOUS and name not in recording.arrays()
    ]
    if lacking:
        raise DataError(*lacking)
    return tuple(dict.fromkeys(asked))


def select_units(recordings: Sequence[Recording], patterns: tuple[str, ...]) -> list[Recording]:
    """Keep units whose ``<session>/<unit id>`` matches a pattern.

    Raises
    ------
    DataError
        Where a pattern matches nothing, or a session loses all its units.
    """
    if patterns == ("*",):
        return list(recordings)
    names = [[f"{recording.name}/{unit}" for unit in recording.units] for recording in recordings]
    everything = [name for group in names for name in group]
    unmatched = [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in everything)]
    if unmatched:
        raise DataError(
            *(
                Problem(
                    key="data.units",
                    what="matches no unit; patterns are matched against `<session>/<unit id>`",
                    given=repr(pattern),
                    todo=f"the nearest is {nearest(pattern, everything) or everything[0]!r}",
                )
                for pattern in unmatched
            )
        )
    selected = []
    for recording, group in zip(recordings, names, strict=True):
        kept = [i for i, name in enumerate(group) if any(fnmatchcase(name, pattern) for pattern in patterns)]
        if not kept:
            raise DataError(
                Problem(where=recording.where, key="data.units", what="leaves no unit of this session; leave it out")
            )
        selected.append(recording if len(kept) == len(group) else recording.select(np.array(kept, dtype=np.int64)))
    return selected
