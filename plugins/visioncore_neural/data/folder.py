"""A session on disk: ``session.json`` and one ``.npy`` file per array, read by memory map.

``session.json`` says what the arrays are (dtype, shape, SHA-256), the unit ids, and a fingerprint of the whole content.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from visioncore_engine.errors import DataError, Problem, StorageError
from visioncore_neural.data.arrays import Array, MappedArray
from visioncore_neural.data.fingerprint import array_hash, content_fingerprint, describe
from visioncore_neural.data.shared import FOLDER as SHARED
from visioncore_neural.data.shared import store
from visioncore_neural.recording import Affine, Recording

__all__ = ["FORMAT", "HEADER", "VERSION", "read_header", "read_session", "write_session"]

FORMAT = "visioncore_session"
VERSION = 1
HEADER = "session.json"
_CHUNK = 4096
_ENTRY = ("dtype", "shape", "sha256")


def write_session(recording: Recording, folder: Path, *, overwrite: bool = False, share_stimulus: bool = False) -> str:
    """Write a recording as a session folder: all of it, or nothing.

    The folder is made beside its target, flushed to disk and renamed. Units that are not in use are left out. A shared
    stimulus lies in ``stimuli`` beside the folder, once for all sessions that show it.

    Returns
    -------
    The fingerprint.

    Raises
    ------
    DataError
        Where the folder exists and `overwrite` is False.
    StorageError
        Where the disk refuses.
    """
    if folder.exists() and not overwrite:
        raise DataError(Problem(where=str(folder), what="exists already", todo="choose another name, or overwrite it"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            work.chmod(0o755)  # mkdtemp makes folders that nobody else may read
            fingerprint = _write(recording, work, share_stimulus=share_stimulus)
            if folder.exists():
                shutil.rmtree(folder)
            work.rename(folder)
            _sync(folder.parent)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise StorageError(f"cannot write the session folder {folder}: {error}") from error
    return fingerprint


def _write(recording: Recording, folder: Path, *, share_stimulus: bool) -> str:
    if recording.columns is not None:
        everything = slice(None)
        valid = recording.validity(everything) if recording.valid.ndim == 2 else recording.valid
        recording = replace(recording, robs=recording.counts(everything), valid=valid, columns=None)
    arrays: dict[str, dict[str, Any]] = {}
    for key, array in recording.arrays().items():
        arrays[key] = {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": array_hash(array)}
        if key == "stim" and share_stimulus:
            shared = store(array, arrays[key]["sha256"], folder.parent / SHARED, _write_array)
            arrays[key]["file"] = f"../{SHARED}/{shared.name}"
        else:
            _write_array(array, folder / f"{key}.npy")
    description = describe(recording)
    fingerprint = content_fingerprint(description, arrays)
    header = {
        "format": FORMAT,
        "version": VERSION,
        **description,
        "arrays": arrays,
        "fingerprint": fingerprint,
    }
    with (folder / HEADER).open("w", encoding="utf-8") as file:
        json.dump(header, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    _sync(folder)
    return fingerprint


def _write_array(array: Array, path: Path) -> None:
    with path.open("wb") as file:
        header = {"descr": array.dtype.str, "fortran_order": False, "shape": tuple(array.shape)}
        np.lib.format.write_array_header_2_0(file, header)
        for start in range(0, array.shape[0], _CHUNK):
            file.write(np.ascontiguousarray(array[start : start + _CHUNK]).data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_header(folder: Path) -> dict[str, Any]:
    """``session.json`` as plain values.

    Raises
    ------
    DataError
        Where it is missing, not JSON, of another format or version, or lacks a key.
    """
    path = folder / HEADER
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        what = f"is not a session folder: it has no {HEADER}" if folder.is_dir() else "no such session folder"
        if folder.is_file():
            what = "is a file; a session is the folder around it"
        raise DataError(Problem(where=str(folder), what=what)) from None
    except (OSError, ValueError) as error:
        raise DataError(Problem(where=str(path), what=f"cannot be read: {error}")) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise DataError(Problem(where=str(path), key="format", what=f"must be {FORMAT!r}"))
    if header.get("version") != VERSION:
        given = str(header.get("version"))
        raise DataError(
            Problem(where=str(path), key="version", what=f"this program reads version {VERSION}", given=given)
        )
    needed = ("name", "subject", "dt", "units", "arrays", "fingerprint")
    missing = [key for key in needed if key not in header]
    arrays = header.get("arrays")
    if isinstance(arrays, dict):
        missing += [f"arrays.{key}" for key in ("stim", "robs", "valid", "trial") if key not in arrays]
    if missing:
        raise DataError(Problem(where=str(path), what=f"lacks {', '.join(missing)}"))
    if not isinstance(arrays, dict) or any(
        not isinstance(entry, dict) or set(_ENTRY) - set(entry) for entry in arrays.values()
    ):
        what = f"must hold {', '.join(_ENTRY)} of each array"
        raise DataError(Problem(where=str(path), key="arrays", what=what))
    return header


def read_session(folder: Path) -> Recording:
    """Open a session folder: headers only, arrays are mapped when they are read.

    Raises
    ------
    DataError
        For a folder that is not a session, a file that is missing, truncated or pickled, or shapes that disagree.
    """
    header = read_header(folder)
    arrays: dict[str, Any] = {key: _open_array(folder, key, entry) for key, entry in header["arrays"].items()}
    try:
        return Recording(
            name=str(header["name"]),
            subject=str(header["subject"]),
            dt=float(header["dt"]),
            kind=header.get("kind", "counts"),
            units=tuple(str(unit) for unit in header["units"]),
            behavior_names=tuple(header.get("behavior", ())),
            degrees_per_pixel=header.get("degrees_per_pixel"),
            affine={
                key: Affine(np.asarray(entry["scale"], np.float64), np.asarray(entry["offset"], np.float64))
                for key, entry in header.get("affine", {}).items()
            },
            fingerprint=str(header["fingerprint"]),
            path=str(folder),
            **arrays,
        )
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise DataError(Problem(where=str(folder / HEADER), what=f"cannot be understood: {error}")) from error


def _shape(written: Any) -> Any:
    return tuple(written) if isinstance(written, list) else written


def _open_array(folder: Path, key: str, entry: Any) -> Array:
    path = folder / str(entry.get("file", f"{key}.npy"))
    if not path.exists():
        raise DataError(Problem(where=str(folder), key=key, what=f"{HEADER} lists it, but {path.name} is not there"))
    array = MappedArray.of(path)
    if list(array.shape) != entry["shape"] or array.dtype.str != entry["dtype"]:
        raise DataError(
            Problem(
                where=str(path),
                key=key,
                what=f"{HEADER} says {entry['dtype']} of shape {_shape(entry['shape'])}",
                given=f"{array.dtype.str} of shape {array.shape}",
                todo="the file was changed after it was written; convert the session again",
            )
        )
    return array
