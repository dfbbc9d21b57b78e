"""Files of arrays: what they hold, and what to say where they cannot be read. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from visioncore_engine.errors import DataError, Problem, nearest

__all__ = ["UNREADABLE", "Member", "group_name", "refuse_missing"]

UNREADABLE = (Exception,)
"""What NumPy raises on files that are damaged or none of its own: it parses headers as Python text, and anything may
come of that. Whoever catches it raises what the user can mend."""


def group_name(path: Path) -> str:
    """Name of the group that a file or folder holds."""
    return path.name if path.is_dir() else path.stem


@dataclass(frozen=True)
class Member:
    """An array in a file, for messages."""

    path: Path
    key: str = ""

    def error(self, what: str, given: object = None, todo: str = "") -> DataError:
        """Error about the array."""
        given = None if given is None else str(given)
        return DataError(Problem(where=str(self.path), key=self.key, what=what, given=given, todo=todo))

    def unreadable(self, error: Exception) -> DataError:
        """Error about a file that NumPy cannot read."""
        # NumPy also says this of anything that it does not know, as if all of it were pickles.
        if self.key and ("allow_pickle" in str(error) or "Python objects" in str(error)):
            return self.error("pickled objects are refused: loading them would run code", todo="store numbers")
        return self.error("cannot be read: cut short, or no NumPy file", str(error) or type(error).__name__)


def refuse_missing(path: Path, keys: Sequence[str], known: Sequence[str]) -> None:
    """Refuse a file that lacks an array.

    Raises
    ------
    DataError
        With every array that is missing, and the nearest that is there.
    """
    problems = []
    for key in keys:
        if key not in known:
            close = nearest(key, known)
            todo = f"did you mean {close!r}?" if close else "name it by `inputs`, `labels` or `split`"
            what = f"no such array; there are {', '.join(known) or 'none'}"
            problems.append(Problem(what=what, where=str(path), key=key, todo=todo))
    if problems:
        raise DataError(*problems)
