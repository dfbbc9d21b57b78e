"""Everything that the engine raises on purpose.

::

    EngineError                 exit 1    a defect of ours
    +- UserError                exit 2    the user can mend it: no traceback is shown
    |  +- ConfigError           the run file (or ``--set``)
    |  +- PluginError           the choice, declaration or import of a plugin
    |  +- DataError             recordings and data sets
    |  +- CheckpointError       a checkpoint that cannot be used
    |  +- UsageError            the command line itself
    +- RunError                 exit 70   a rank, a plugin or the numbers failed
    +- StorageError             exit 74   disk full, quota, read-only folder
    +- Hung                     exit 75   the watchdog ended a process that gave no sign of life
    +- Stopped                  exit 143  ended by a signal, after saving

Every message says where, what was given, what is allowed and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "EngineError",
    "Hung",
    "PluginError",
    "Problem",
    "RunError",
    "Stopped",
    "StorageError",
    "UsageError",
    "UserError",
    "nearest",
]


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed name most like `word`, or None where nothing is close."""
    lowered = {name.lower(): name for name in allowed}
    close = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return lowered[close[0]] if close else None


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake, told so that the reader can mend it.

    Attributes
    ----------
    what
        What is wrong, and what is allowed.
    where
        ``file:line``, a path, or ``--set``; empty where there is no place.
    key
        Dotted key in the run file, or a name inside the file; may be empty.
    given
        The offending value as the user wrote it.
    todo
        What to do about it.
    """

    what: str
    where: str = ""
    key: str = ""
    given: str | None = None
    todo: str = ""

    def __str__(self) -> str:
        head = ": ".join(part for part in (self.where, self.key) if part)
        given = "" if self.given is None else f" (got {self.given})"
        todo = f"; {self.todo}" if self.todo else ""
        return f"{head}: {self.what}{given}{todo}" if head else f"{self.what}{given}{todo}"


class EngineError(Exception):
    """Root of the tree; raised itself only for a defect of ours."""

    exit_code = 1
    label = "error"
    shows_traceback = False  # whether the command line shows where it was raised, without being asked to


class UserError(EngineError):
    """A mistake that the user can mend. Holds one or several problems."""

    exit_code = 2

    def __init__(self, *problems: Problem | str) -> None:
        self.problems: Sequence[Problem] = tuple(
            Problem(what=problem) if isinstance(problem, str) else problem for problem in problems
        )
        super().__init__("\n".join(f"{self.label}: {problem}" for problem in self.problems))

    def at(self, where: str, key: str = "") -> Self:
        """Return the same error with `where` and `key` filled in where a problem has no place yet."""
        return type(self)(
            *(
                problem if problem.where else replace(problem, where=where, key=problem.key or key)
                for problem in self.problems
            )
        )


class ConfigError(UserError):
    """The run file, an overlay or ``--set`` says something that cannot be understood."""

    label = "config error"


class PluginError(UserError):
    """A component that does not exist, is ambiguous, broken, blocked or of another contract version."""

    label = "plugin error"


class DataError(UserError):
    """A recording or data set that cannot be used as it is."""

    label = "data error"


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged, unsafe or of another model."""

    label = "checkpoint error"


class UsageError(UserError):
    """The command line asks for something that is not there."""

    label = "usage error"


class RunError(EngineError):
    """A rank, a plugin or the numbers failed while running."""

    exit_code = 70
    label = "run failed"


class StorageError(EngineError):
    """Nothing more can be written: disk full, quota, read-only folder."""

    exit_code = 74
    label = "storage failed"


class Hung(EngineError):  # noqa: N818 - named for what happened, as the others
    """The watchdog ended a run in which a process gave no sign of life."""

    exit_code = 75
    label = "hang"


class Stopped(EngineError):  # noqa: N818 - it is no error of anybody: a signal asked for it
    """The run was ended by SIGTERM, SIGINT or SIGUSR1, after its state was saved."""

    exit_code = 143
    label = "stopped"
