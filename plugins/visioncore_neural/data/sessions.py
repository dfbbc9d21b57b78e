"""Dataset `sessions`: recordings from disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from visioncore_engine.contracts import DatasetFacts, ReaderFacts
from visioncore_engine.errors import DataError, Problem
from visioncore_engine.options import Choice
from visioncore_neural.data.dataset import RecordingsDataset
from visioncore_neural.data.paths import find_sessions, resolve_root
from visioncore_neural.data.selection import collect
from visioncore_neural.options.dataset import SessionsOptions
from visioncore_neural.recording import Recording

__all__ = ["Sessions"]


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
