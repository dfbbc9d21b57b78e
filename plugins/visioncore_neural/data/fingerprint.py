"""What a recording is, as one hash: the same for a folder, an archive or an array in memory with equal content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from visioncore_neural.data.arrays import Array
from visioncore_neural.recording import Recording

__all__ = ["array_hash", "content_fingerprint", "describe", "recording_fingerprint"]

_CHUNK = 4096


def array_hash(array: Array) -> str:
    """SHA-256 of an array's values in C order, read in chunks; dtype and shape are hashed with `describe`."""
    digest = hashlib.sha256()
    for start in range(0, array.shape[0], _CHUNK):
        digest.update(np.ascontiguousarray(array[start : start + _CHUNK]).data)
    return digest.hexdigest()


def describe(recording: Recording) -> dict[str, Any]:
    """Everything of a recording that is not an array, as plain JSON values."""
    return {
        "name": recording.name,
        "subject": recording.subject,
        "dt": recording.dt,
        "kind": recording.kind,
        "units": list(recording.units),
        "behavior": list(recording.behavior_names),
        "degrees_per_pixel": recording.degrees_per_pixel,
        "affine": {
            key: {"scale": affine.scale.tolist(), "offset": affine.offset.tolist()}
            for key, affine in sorted(recording.affine.items())
        },
    }


def content_fingerprint(description: Mapping[str, Any], arrays: Mapping[str, Mapping[str, Any]]) -> str:
    """SHA-256 over a description and the dtype, shape and hash of each array."""
    content = {key: {part: entry[part] for part in ("dtype", "shape", "sha256")} for key, entry in arrays.items()}
    text = json.dumps({"description": description, "arrays": content}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def recording_fingerprint(recording: Recording) -> str:
    """Fingerprint of a recording: the stored one, or computed from all of its arrays."""
    if recording.fingerprint:
        return recording.fingerprint
    arrays = {
        key: {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": array_hash(array)}
        for key, array in recording.arrays().items()
    }
    return content_fingerprint(describe(recording), arrays)
