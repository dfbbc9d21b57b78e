"""Readers of one recording: session folders, NumPy archives, HDF5 files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from visioncore_engine.errors import DataError, Problem
from visioncore_neural.data.aliases import find_keys
from visioncore_neural.data.assemble import assemble
from visioncore_neural.data.files import must_exist, unreadable
from visioncore_neural.data.folder import HEADER, read_session
from visioncore_neural.data.shared import with_shared_stimulus
from visioncore_neural.options.reader import ArchiveOptions, FolderOptions
from visioncore_neural.recording import Recording

if TYPE_CHECKING:
    from visioncore_engine.contracts import ReaderFacts

__all__ = ["Archive", "Folder", "Hdf5", "Npz"]

_ATTRIBUTES = ("dt", "name", "subject", "degrees_per_pixel", "stim_sha256")
_PER_FRAME = ("stim", "robs", "valid", "trial", "split", "behavior", "eyepos", "repeat_frame", "repeat_trial")


class Folder:
    """Session folders (`visioncore_neural.data.folder`), read by memory map.

    Parameters
    ----------
    options, facts
        Nothing, and the path.
    """

    def __init__(self, options: FolderOptions, facts: ReaderFacts) -> None:
        del options  # a session folder says everything itself
        self._path = facts.path

    def accepts(self) -> bool:
        """Whether the path looks like a session folder; patterns pass over what does not."""
        return (self._path / HEADER).is_file()

    def read(self) -> Recording:
        """Open the session; headers only."""
        return read_session(self._path)

    headers = read


class Archive:
    """A file of named arrays, read into memory. Convert what you read often.

    Parameters
    ----------
    options, facts
        Names and axes, and the path.
    """

    suffixes: tuple[str, ...] = ()

    def __init__(self, options: ArchiveOptions, facts: ReaderFacts) -> None:
        self._options, self._path = options, facts.path

    def accepts(self) -> bool:
        """Whether the path looks like such a file."""
        return self._path.suffix in self.suffixes

    def read(self) -> Recording:
        """Read the recording.

        Raises
        ------
        DataError
            For a file that is missing, damaged, or holds Python objects; and where arrays are missing or do not fit.
        """
        return assemble(self._complete(self._arrays(self._array)), self._options, self._path)

    def headers(self) -> Recording:
        """Read what the arrays are, not their values: a recording whose arrays are all zero. Raises as `read`."""
        arrays = self._complete(self._arrays(self._header), headers=True)
        # Repeats would be appended, which would need memory for all frames.
        return assemble(arrays, self._options.model_copy(update={"repeats": False}), self._path)

    def _complete(self, arrays: dict[str, np.ndarray], *, headers: bool = False) -> dict[str, np.ndarray]:
        return with_shared_stimulus(arrays, self._options.stimulus, self._path, headers=headers)

    def _arrays(self, get: Callable[[Any, str, str], np.ndarray]) -> dict[str, np.ndarray]:
        """Open the file, and `get` every array of it that has a name here."""
        raise NotImplementedError

    def _array(self, file: Any, name: str, key: str) -> np.ndarray:
        raise NotImplementedError

    def _header(self, file: Any, name: str, key: str) -> np.ndarray:
        raise NotImplementedError


class Npz(Archive):
    """NumPy archives (``.npz``)."""

    suffixes = (".npz",)

    def _arrays(self, get: Callable[[Any, str, str], np.ndarray]) -> dict[str, np.ndarray]:
        must_exist(self._path)
        with self._path.open("rb") as file:  # NumPy leaves files open that it cannot read
            try:
                archive = np.load(file, allow_pickle=False)
            except Exception as error:  # as `arrays._map`
                raise unreadable(self._path, "", error) from error
            if not isinstance(archive, np.lib.npyio.NpzFile):
                what = "is one array, not an archive of named arrays (.npz)"
                raise DataError(Problem(where=str(self._path), what=what))
            found = find_keys(archive.files, self._options.keys, str(self._path))
            return {name: get(archive, name, key) for name, key in found.items()}

    def _array(self, archive: Any, name: str, key: str) -> np.ndarray:
        try:
            return np.asarray(archive[key])
        except Exception as error:  # as `arrays._map`
            raise unreadable(self._path, key, error) from error

    def _header(self, archive: Any, name: str, key: str) -> np.ndarray:
        member = key if key in archive.zip.namelist() else f"{key}.npy"
        try:
            with archive.zip.open(member) as file:
                version = np.lib.format.read_magic(file)
                parse = np.lib.format.read_array_header_1_0 if version == (1, 0) else _read_long_header
                shape, _, dtype = parse(file)
        except Exception as error:  # as `arrays._map`
            raise unreadable(self._path, key, error) from error
        bare = _without_values(name, shape, dtype)
        return self._array(archive, name, key) if bare is None else bare


class Hdf5(Archive):
    """HDF5 files; a key may be a path such as ``group/stim``."""

    suffixes = (".h5", ".hdf5", ".hdf")

    def _arrays(self, get: Callable[[Any, str, str], np.ndarray]) -> dict[str, np.ndarray]:
        import h5py

        must_exist(self._path)
        try:
            file = h5py.File(self._path, "r")
        except Exception as error:  # the library reports damage in many ways
            raise unreadable(self._path, "", error) from error
        with file:
            names, attributes = self._contents(file)
            found = find_keys(names, self._options.keys, str(self._path))
            arrays = {name: get(file, name, key) for name, key in found.items()}
        return {**attributes, **arrays}

    def _contents(self, file: Any) -> tuple[list[str], dict[str, np.ndarray]]:
        """Names of all datasets, and the attributes that stand in for some."""
        import h5py

        names: list[str] = []
        try:
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            attributes = {name: np.asarray(file.attrs[name]) for name in _ATTRIBUTES if name in file.attrs}
        except Exception as error:  # the library reports damage in many ways
            raise unreadable(self._path, "", error) from error
        return names, attributes

    def _header(self, file: Any, name: str, key: str) -> np.ndarray:
        try:
            bare = _without_values(name, file[key].shape, file[key].dtype)
        except Exception as error:  # the library reports damage in many ways
            raise unreadable(self._path, key, error) from error
        return self._array(file, name, key) if bare is None else bare

    def _array(self, file: Any, name: str, key: str) -> np.ndarray:
        try:
            array = np.asarray(file[key][()])
        except Exception as error:  # the library reports damage in many ways
            raise unreadable(self._path, key, error) from error
        if array.dtype.kind == "O" and not all(isinstance(item, bytes | str) for item in array.ravel()):
            raise DataError(
                Problem(where=str(self._path), key=key, what="holds objects, not numbers", given=f"dtype {array.dtype}")
            )
        return array


def _without_values(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray | None:
    """Zeros that take no memory; None where the values are few and say something, so that they must be read."""
    if name not in _PER_FRAME or dtype.kind not in "biuf":
        return None
    # A mask may be stored as numbers, which would be compared one by one.
    return np.broadcast_to(np.zeros((), dtype=bool if name == "valid" else dtype), shape)


def _read_long_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    return np.lib.format.read_array_header_2_0(file, max_header_size=100_000)
