"""Recordings of other formats to session folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from visioncore_engine.errors import DataError, Problem
from visioncore_neural.data.folder import read_session, write_session
from visioncore_neural.recording import Recording

__all__ = ["Readable", "convert"]


class Readable(Protocol):
    """A reader that has its path."""

    def read(self) -> Recording:
        """Read the recording."""
        ...


def convert(
    readers: Iterable[Readable], out: Path, *, overwrite: bool = False, share_stimuli: bool = False
) -> Iterator[tuple[Recording, Path]]:
    """Write each recording to ``out/<session name>`` and read it back.

    Parameters
    ----------
    readers
        One for each recording.
    out
        Folder that receives the sessions.
    overwrite
        Replace sessions that are there.
    share_stimuli
        Store equal stimuli once, in ``out/stimuli``.

    Yields
    ------
    The recording as it now is on disk, and its folder

    Raises
    ------
    DataError
        Where a source cannot be read, its name cannot be a folder's, or its folder exists.
    StorageError
        Where the disk refuses.
    """
    for reader in readers:
        recording = reader.read()
        if recording.name in ("", ".", "..") or any(mark in recording.name for mark in "/\\\0"):
            todo = "give it another name (`--set session=NAME`)"
            given = repr(recording.name)
            raise DataError(
                Problem(where=recording.where, key="name", what="cannot name a folder", given=given, todo=todo)
            )
        folder = out / recording.name
        write_session(recording, folder, overwrite=overwrite, share_stimulus=share_stimuli)
        yield read_session(folder), folder
