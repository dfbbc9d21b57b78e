"""Checkpoint files: tensors and plain values, written so that one loadable generation always exists.

A save writes ``<name>.tmp`` beside its target, fsyncs it, extends the sidecar ``<name>.sha256`` by the new digest,
keeps the file before as ``<stem>.prev<suffix>`` where asked, and renames. The sidecar may name two digests (the old and
the new file): whichever of them a crash leaves in place is recognised.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import pickle
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from visioncore_engine.errors import CheckpointError, Problem, RunError, StorageError
from visioncore_engine.migration import FORMAT, carry_over
from visioncore_engine.plain import unsafe_parts

__all__ = [
    "FORMAT",
    "content_digest",
    "link_checkpoint",
    "offered_weights",
    "read_as_written",
    "read_checkpoint",
    "trained_weights",
    "write_checkpoint",
]

_PARTS: Mapping[str, type] = {
    "run": dict,
    "record": dict,
    "groups": list,
    "fingerprints": dict,
    "data_state": dict,
    "history": int,
    "scheduler": dict,
    "scores": dict,
    "losses": list,
    "loggers": dict,
}
"""What stands under the key ``visioncore``, besides its version."""

_CODE = ("_instantiator", "_class_path")
"""Keys by which Lightning's checkpoints name code to run."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO}


def write_checkpoint(payload: Mapping[str, Any], path: Path, *, keep_previous: bool = False) -> None:
    """Write a checkpoint durably and atomically.

    Parameters
    ----------
    payload
        Tensors and plain values.
    path
        Target file.
    keep_previous
        Keep the file that is replaced as ``<stem>.prev<suffix>``.

    Raises
    ------
    RunError
        Where a weight is not finite, or a value could not be loaded again: a broken state never replaces a good file.
    StorageError
        Where the file cannot be written; what was there stays.
    """
    _refuse_broken(payload, path)
    buffer = io.BytesIO()
    torch.save(dict(payload), buffer)
    data = buffer.getbuffer()
    digest = hashlib.sha256(data).hexdigest()
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_durably(temporary, data)
        _write_sidecar(path, digest, *_known_digests(path))
        if keep_previous and path.exists():
            previous = path.with_name(f"{path.stem}.prev{path.suffix}")
            link_checkpoint(path, previous)
        temporary.replace(path)
        _write_sidecar(path, digest)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):  # the disk is failing already: the message below says so
            temporary.unlink(missing_ok=True)
        if error.errno in _FULL:
            raise StorageError(_storage_message(path, len(data), error)) from error
        raise


def _refuse_broken(payload: Mapping[str, Any], path: Path) -> None:
    for name in _broken(payload):
        raise RunError(f"run failed: {path}: refusing to save non-finite values in {name}")
    for name in _homeless(payload):
        raise RunError(f"run failed: {path}: refusing to offer {name!r}: no weight has this name and shape")
    for place, kind in unsafe_parts(dict(payload)):
        raise RunError(f"run failed: {path}: refusing to save {kind} in {place}, which could not be loaded again")


def _write_durably(path: Path, data: bytes | memoryview) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def link_checkpoint(source: Path, target: Path) -> None:
    """Give a checkpoint a second name, with its sidecar; the target is replaced atomically."""
    for origin, place in ((_sidecar(source), _sidecar(target)), (source, target)):
        # A hard link costs nothing and cannot run out of space half way; not every file system has them.
        temporary = place.with_name(place.name + ".tmp")
        temporary.unlink(missing_ok=True)
        if origin == _sidecar(source) and not origin.exists():  # a file that somebody brought without it
            place.unlink(missing_ok=True)
            continue
        try:
            os.link(origin, temporary)
        except OSError:
            shutil.copyfile(origin, temporary)
        temporary.replace(place)
        temporary.unlink(missing_ok=True)  # two names of one file: then replacing does nothing


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _storage_message(path: Path, needed: int, error: OSError) -> str:
    free = "unknown"
    with contextlib.suppress(OSError):  # only decorates the message
        free = f"{shutil.disk_usage(path.parent).free} bytes"
    return (
        f"storage failed: {path}: cannot write the checkpoint: {error.strerror} "
        f"(needs {needed} bytes, free {free}); the checkpoint before it is untouched"
    )


def content_digest(path: Path) -> str:
    """SHA-256 of a file, read piece by piece: a checkpoint need not fit into memory twice."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _write_sidecar(path: Path, *digests: str) -> None:
    # Replaced, never rewritten: the file before may share the sidecar by a hard link.
    temporary = path.with_name(path.name + ".sha256.tmp")
    _write_durably(temporary, "".join(f"{digest}\n" for digest in dict.fromkeys(digests)).encode())
    temporary.replace(_sidecar(path))


def _known_digests(path: Path) -> list[str]:
    sidecar = _sidecar(path)
    return sidecar.read_text(errors="replace").split() if sidecar.is_file() else []


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a training checkpoint; nothing in it is executed. One of an older format is carried over, in memory.

    Raises
    ------
    CheckpointError
        As `read_as_written`.
    """
    return carry_over(read_as_written(path))


def read_as_written(path: str | Path) -> dict[str, Any]:
    """Read a training checkpoint in the format that it was written in.

    Raises
    ------
    CheckpointError
        With the reason: missing, a folder, empty, truncated or changed, not a checkpoint, holding a Python object or
        naming code, of a later format, incomplete, or with non-finite weights.
    """
    if re.match(r"^[a-zA-Z][a-zA-Z0-9+.-]+://", str(path)):
        raise _refusal(path, "only local files are read", "download it and check its sha256")
    path = Path(path)
    payload = _load_plain(path, _read_bytes(path))
    if not isinstance(payload, dict):
        raise _refusal(path, f"not a checkpoint: it holds a {type(payload).__name__}")
    _refuse_code(path, payload)
    if "visioncore" not in payload:
        weights_only = bool(payload) and all(isinstance(value, Tensor) for value in payload.values())
        what = "weights only, not a training checkpoint" if weights_only else "not a checkpoint of this engine"
        raise _refusal(path, what, "give a checkpoint from a run folder's `checkpoints/`, which says what it is")
    own = payload["visioncore"]
    written = own.get("format") if isinstance(own, dict) else None
    if type(written) is not int or not 1 <= written <= FORMAT:
        later = type(written) is int and written > FORMAT
        todo = "upgrade the engine" if later else "the file was changed after it was written"
        raise _refusal(path, f"written in format {written}, this engine reads 1 to {FORMAT}", todo)
    _refuse_incomplete(path, payload)
    for name in _broken(payload):
        raise _refusal(path, f"non-finite values in {name}", "use an earlier checkpoint")
    return payload


def trained_weights(payload: Mapping[str, Any]) -> dict[str, Tensor]:
    """Weights and buffers of a checkpoint's model by their names in it, as training goes on from them."""
    return _of_model(payload["state_dict"])


def offered_weights(payload: Mapping[str, Any]) -> dict[str, Tensor]:
    """Weights and buffers of a checkpoint's model by their names in it, for everything but training on.

    They are those that are trained, save where a callback offered others (`contracts.CallbackFacts.offer_weights`).
    """
    return _of_model({**payload["state_dict"], **_offered(payload)})


def _of_model(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}


def _offered(payload: Mapping[str, Any]) -> Mapping[str, Tensor]:
    offered: Mapping[str, Tensor] = payload.get("visioncore", {}).get("offered", {})
    return offered


def _broken(payload: Mapping[str, Any]) -> Iterator[str]:
    """Names of weights that are not finite."""
    for place, tensors in (("", payload.get("state_dict", {})), ("the offered ", _offered(payload))):
        for name, value in tensors.items():
            if isinstance(value, Tensor) and value.is_floating_point() and not bool(torch.isfinite(value).all()):
                yield f"{place}{name!r}"


def _homeless(payload: Mapping[str, Any]) -> Iterator[str]:
    """Names of offered weights that are none of the model's."""
    for name, value in _offered(payload).items():
        own = payload["state_dict"].get(name)
        if own is None or own.shape != value.shape:
            yield name


def _refuse_code(path: Path, payload: Mapping[Any, Any]) -> None:
    """Refuse a file that names code to run. Nothing here would run it, but Lightning's own loading might."""
    places = [payload, *(value for value in payload.values() if isinstance(value, dict))]
    named = [key for place in places for key in _CODE if key in place]
    if named:
        what = f"the checkpoint names code to run ({', '.join(dict.fromkeys(named))}); refused, nothing was run"
        raise _refusal(path, what, "it is not ours")


def _refuse_incomplete(path: Path, payload: Mapping[str, Any]) -> None:
    own = payload["visioncore"]
    offered = own.get("offered", {})  # which formats 1 and 2 do not know
    if not _are_tensors(payload.get("state_dict")) or not _are_tensors(offered) or any(_homeless(payload)):
        raise _refusal(path, "its weights are not tensors by name", "the file was changed after it was written")
    wrong = [name for name, kind in _PARTS.items() if not isinstance(own.get(name), kind)]
    if wrong:
        what = f"it lacks {', '.join(wrong)}, which every checkpoint has"
        raise _refusal(path, what, "the file was changed after it was written")


def _are_tensors(weights: Any) -> bool:
    return isinstance(weights, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in weights.items()
    )


def _refusal(path: str | Path, what: str, todo: str = "") -> CheckpointError:
    return CheckpointError(Problem(what=what, where=str(path), todo=todo))


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise _refusal(path, "is a folder", "give a file inside it")
    if not path.exists():
        raise _refusal(path, "no such checkpoint", _newest_beside(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _refusal(path, f"cannot be read: {error.strerror}") from error
    if not data:
        raise _refusal(path, "the file is empty", _newest_beside(path))
    known = _known_digests(path)
    if known and hashlib.sha256(data).hexdigest() not in known:
        raise _refusal(path, "content does not match its sha256: truncated or changed", _newest_beside(path))
    return data


def _newest_beside(path: Path) -> str:
    others = sorted(
        (other for other in path.parent.glob("*.ckpt") if other != path), key=lambda other: other.stat().st_mtime
    )
    return f"newest other checkpoint here: {others[-1].name}" if others else ""


def _load_plain(path: Path, data: bytes) -> Any:
    with _ignored_override(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch remarks on foreign pickles that are refused below in our words
        try:
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            named = re.search(r"GLOBAL ([\w.]+)|`?([\w.]+)`? was not an allowed", str(error))
            if named:
                raise _refusal(
                    path,
                    f"contains a Python object ({named[1] or named[2]}); refused, nothing was run",
                    "it is not ours",
                ) from error
            raise _refusal(path, "not a checkpoint: it cannot be unpickled") from error
        except Exception as error:  # torch says of damaged files whatever its unpickler stumbles over
            raise _refusal(path, "not a checkpoint, or truncated", _newest_beside(path)) from error


@contextlib.contextmanager
def _ignored_override() -> Iterator[None]:
    # torch lets an environment variable turn weights_only off; for our files it never may.
    name = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    kept = os.environ.pop(name, None)
    try:
        yield
    finally:
        if kept is not None:
            os.environ[name] = kept
