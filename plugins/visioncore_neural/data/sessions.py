"""Dataset `sessions`: recordings from disk."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from visioncore_engine.contracts import DatasetFacts, ReaderFacts
from visioncore_engine.errors import DataError, Problem, nearest
from visioncore_engine.options import Choice
from visioncore_neural.data.dataset import RecordingsDataset
from visioncore_neural.data.selection import collect
from visioncore_neural.options.dataset import SessionsOptions
from visioncore_neural.recording import Recording

__all__ = ["ROOT_VARIABLE", "Sessions", "find_sessions", "resolve_root"]

ROOT_VARIABLE = "VISIONCORE_DATA"


class Sessions(RecordingsDataset):
    """Recordings below a folder.

    Parameters
    ----------
    options, facts
        Which recordings and how to read them, and the run's facts.
    """

    def __init__(self, options: SessionsOptions, facts: DatasetFacts) -> None:
        root = resolve_root(options.root)
        readers = _readers(options.reader)
        paths = find_sessions(root, options.sessions, lambda path: _accepts(readers(path)))
        recordings = collect(lambda path: _read(readers(path), path, options.reader.name), paths)
        super().__init__(recordings, options, facts, split=options.split)


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
            matches = [path for path in sorted(root.glob(pattern)) if accepts(path)]
        else:
            matches = [root / pattern] if (root / pattern).exists() else []
        if not matches:
            problems.append(_nothing(root, pattern))
        found.update(dict.fromkeys(matches))
    if problems:
        raise DataError(*problems)
    return list(found)


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


def _readers(choice: Choice) -> Callable[[Path], Any]:
    return lambda path: choice.build(ReaderFacts(path=path))


def _accepts(reader: Any) -> bool:
    """Readers may say what they can read; one that does not is believed to read everything."""
    accepts = getattr(reader, "accepts", None)
    return True if accepts is None else bool(accepts())


def _read(reader: Any, path: Path, name: str) -> Recording:
    recording = reader.read()
    if not isinstance(recording, Recording):
        given = type(recording).__name__
        raise DataError(
            Problem(where=str(path), what=f"the reader {name!r} must return a visioncore_neural Recording", given=given)
        )
    return recording
