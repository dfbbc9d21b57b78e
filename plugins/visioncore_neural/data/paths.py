"""Where the sessions of a run lie. Torch-free: the headers of the data are looked at without it."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from pathlib import Path

from visioncore_engine.errors import DataError, Problem, nearest

__all__ = ["ROOT_VARIABLE", "find_sessions", "resolve_root"]

ROOT_VARIABLE = "VISIONCORE_DATA"


def resolve_root(root: str) -> Path:
    """Folder that holds the sessions: the option, else ``$VISIONCORE_DATA``.

    Raises
    ------
    DataError
        Where neither is given, or it is no folder.
    """
    where, name = "data.root", root
    if not name:
        where, name = f"${ROOT_VARIABLE}", os.environ.get(ROOT_VARIABLE, "")
    if not name:
        raise DataError(
            Problem(
                key="data.root",
                what=f"says where the recordings are; neither it nor the environment variable {ROOT_VARIABLE} is set",
                todo=f"add `--set data.root=FOLDER`, or `export {ROOT_VARIABLE}=FOLDER`",
            )
        )
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise DataError(Problem(key=where, what="no such folder", given=str(folder)))
    return folder


def find_sessions(root: Path, patterns: tuple[str, ...], accepts: Callable[[Path], bool]) -> list[Path]:
    """Paths of the sessions, each once, in the order of the patterns and sorted within one.

    Parameters
    ----------
    root
        Folder that patterns are relative to.
    patterns
        Paths, or shell-style patterns; a pattern passes over what `accepts` refuses.

    Raises
    ------
    DataError
        For each path that is not there, and each pattern that finds nothing.
    """
    found: dict[Path, None] = {}
    problems = []
    for pattern in patterns:
        if glob.has_magic(pattern):
            matches = [path for path in _below(root, pattern) if accepts(path)]
        else:
            matches = [root / pattern] if (root / pattern).exists() else []
        if not matches:
            problems.append(_nothing(root, pattern))
        found.update(dict.fromkeys(matches))
    if problems:
        raise DataError(*problems)
    return list(found)


def _below(root: Path, pattern: str) -> list[Path]:
    """Paths that a pattern matches, sorted; none where it is no relative pattern."""
    try:
        return sorted(root.glob(pattern))
    except (NotImplementedError, ValueError):  # absolute, or '**' beside other letters: told as matching nothing
        return []


def _nothing(root: Path, pattern: str) -> Problem:
    parent = (root / pattern).parent
    beside = sorted(path.name for path in parent.iterdir()) if parent.is_dir() else []
    like = nearest(Path(pattern).name, beside)
    return Problem(
        where=str(root),
        key="data.sessions",
        what="no session is there",
        given=pattern,
        todo=f"the nearest name is {like!r}" if like else f"there are {', '.join(beside[:8]) or 'no files'}",
    )
