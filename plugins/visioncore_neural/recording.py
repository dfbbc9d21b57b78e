"""One session in memory: stimulus, responses, and what was valid when.

Shapes: T frames, C channels, H x W pixels, N units, K behavior channels. Every array has time first, oldest first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from visioncore_engine.errors import DataError, Problem
from visioncore_neural.data.arrays import Array
from visioncore_neural.data.shapes import shape_problems

__all__ = ["PREVIOUS", "SPLITS", "Affine", "Recording", "TargetKind"]

SPLITS: Mapping[str, int] = {"train": 0, "validation": 1, "test": 2, "repeats": 3}
"""Number of each split in `Recording.split`; -1 is in none."""

PREVIOUS = "previous_responses"
"""Side input made of the responses: in a frame stands the response in the frame before, so that nothing that reads it
can see a target."""

TargetKind = Literal["counts", "rates"]

_COMPACT = (np.uint8, np.int8, np.int16, np.float16)  # what torch multiplies by float32 exactly as NumPy does

_ARRAYS = ("stim", "robs", "valid", "trial", "split", "repeat_frame", "repeat_trial", "behavior", "eyepos")

_CHUNK = 4096  # frames read at once where a whole recording is walked through


@dataclass(frozen=True)
class Affine:
    """Stored number to value: ``value = stored * scale + offset``.

    Integer stimuli stay integers on disk and in memory; scaling happens in the gather. An affine preparation costs
    nothing, because it only changes these two.

    Attributes
    ----------
    scale, offset
        float64, broadcastable to a frame of the array: scalars, or (C, 1, 1) for a stimulus, (K,) for behavior.
    """

    scale: np.ndarray = field(default_factory=lambda: np.ones(()))
    offset: np.ndarray = field(default_factory=lambda: np.zeros(()))

    def then(self, scale: np.ndarray | float, offset: np.ndarray | float) -> Affine:
        """Apply a second affine map to the values of this one."""
        return Affine(np.asarray(self.scale * scale), np.asarray(self.offset * scale + offset))


@dataclass(frozen=True, eq=False, kw_only=True)
class Recording:
    """One session. Arrays may be memory-mapped; nothing is read before it is asked for.

    Attributes
    ----------
    name, subject
        Unique name of the session, and whom it was recorded from.
    dt
        Seconds per frame.
    stim
        (T, C, H, W), any numeric dtype; data without space have H = W = 1. Values are ``affine["stim"]`` of it.
    robs
        (T, stored units): spike counts per frame, or rates.
    valid
        (T,) or (T, stored units) bool, True where a response counts.
    trial
        (T,) int; frames with the same number that follow each other are one trial; -1 belongs to no trial and is
        neither predicted nor history.
    units
        Identifier of each unit that is used, N of them.
    columns
        Stored columns of those units; None means all, in order.
    split
        (T,) int, a value of `SPLITS` or -1; None where the recording brings no split.
    repeat_frame
        (T,) int: which frame of a repeated clip this is, counted over all clips of the session; -1 elsewhere.
    repeat_trial
        (T,) int: which presentation of the clip, -1 elsewhere.
    behavior, behavior_names
        (T, K), and a name for each channel.
    eyepos
        (T, 2) gaze in degrees, horizontal and vertical.
    degrees_per_pixel
        Size of a stimulus pixel in visual angle.
    affine
        Maps from stored numbers to values, by ``stim``, ``behavior`` or ``eyepos``.
    kind
        ``counts`` or ``rates``.
    fingerprint
        SHA-256 of the content (`visioncore_neural.data.fingerprint`); empty where it has not been computed.
    path
        Where it came from, for messages; empty in memory.
    """

    name: str
    subject: str
    dt: float
    stim: Array
    robs: Array
    valid: Array
    trial: Array
    units: tuple[str, ...]
    columns: np.ndarray | None = None
    split: Array | None = None
    repeat_frame: Array | None = None
    repeat_trial: Array | None = None
    behavior: Array | None = None
    behavior_names: tuple[str, ...] = ()
    eyepos: Array | None = None
    degrees_per_pixel: float | None = None
    affine: Mapping[str, Affine] = field(default_factory=dict)
    kind: TargetKind = "counts"
    fingerprint: str = ""
    path: str = ""

    def __post_init__(self) -> None:
        problems = shape_problems(self)
        if problems:
            raise DataError(*problems)

    @property
    def num_frames(self) -> int:
        """T."""
        return int(self.stim.shape[0])

    @property
    def num_units(self) -> int:
        """N."""
        return len(self.units)

    @property
    def where(self) -> str:
        """Session and path, for messages."""
        return f"session {self.name!r}" + (f" ({self.path})" if self.path else "")

    def arrays(self) -> dict[str, Array]:
        """Return the arrays that are there, by name."""
        return {name: array for name in _ARRAYS if (array := getattr(self, name)) is not None}

    def array(self, key: str) -> Array:
        """Array by name.

        Raises
        ------
        DataError
            Where the recording has none.
        """
        array: Array | None = getattr(self, key) if key in _ARRAYS else None
        if array is None:
            there = ", ".join(self.arrays())
            raise DataError(Problem(where=self.where, key=key, what=f"the recording has no such array; it has {there}"))
        return array

    def values(self, key: str, frames: np.ndarray | slice) -> np.ndarray:
        """Scaled values of some frames, float32 (frames..., rest of the array's shape).

        Computed in float32: for 8- and 16-bit integers the result is exact to rounding.
        """
        stored = np.asarray(self.array(key)[frames])
        values = stored.astype(np.float32)
        if key in self.affine:
            values *= self.affine[key].scale.astype(np.float32)
            values += self.affine[key].offset.astype(np.float32)
        return values

    def encoding(self, key: str) -> Affine | None:
        """Map from stored numbers to values, where the stored numbers are smaller than float32; else None."""
        return self.affine.get(key, Affine()) if self.array(key).dtype in _COMPACT else None

    def counts(self, frames: np.ndarray | slice) -> np.ndarray:
        """Responses of the units in use, (frames..., N), stored dtype."""
        rows = np.asarray(self.robs[frames])
        return rows if self.columns is None else rows[..., self.columns]

    def validity(self, frames: np.ndarray | slice) -> np.ndarray:
        """Which responses count, bool (frames..., N), or (frames..., 1) where all units share one mask."""
        rows = np.asarray(self.valid[frames])
        if self.valid.ndim == 1:
            return rows[..., None]
        return rows if self.columns is None else rows[..., self.columns]

    def previous(self, frames: np.ndarray) -> np.ndarray:
        """Responses in the frame before each of some frames, float32 (frames..., N).

        0 where that response does not count, or lies in another trial or split.
        """
        before = np.maximum(frames - 1, 0)
        counts = self.follows()[frames][..., None] & self.validity(before)
        return np.where(counts, self.counts(before), 0).astype(np.float32)

    def valid_frames(self) -> np.ndarray:
        """Frames where at least one response counts, bool (T,)."""
        return np.concatenate([self.validity(chunk).any(-1) for chunk in self.chunks()])

    @cached_property
    def _follows(self) -> np.ndarray:
        trial = np.asarray(self.trial)
        follows = np.zeros(self.num_frames, dtype=bool)
        follows[1:] = (trial[1:] == trial[:-1]) & (trial[1:] >= 0)
        if self.split is not None:
            follows[1:] &= np.diff(np.asarray(self.split, dtype=np.int64)) == 0
        return follows

    def follows(self) -> np.ndarray:
        """Frames whose predecessor lies in the same trial and split, bool (T,): others begin something new.

        Whatever mixes frames (a difference, a filter, a running mean) must start anew where this is False.
        """
        return self._follows

    def chunks(self) -> Iterator[slice]:
        """Slices that cover all frames in order, small enough to read."""
        for start in range(0, self.num_frames, _CHUNK):
            yield slice(start, min(start + _CHUNK, self.num_frames))

    def select(self, columns: np.ndarray) -> Recording:
        """Keep some of the units in use; `columns` is int64, positions among them."""
        stored = columns if self.columns is None else self.columns[columns]
        return replace(self, units=tuple(self.units[i] for i in columns), columns=np.asarray(stored, dtype=np.int64))

    def rescaled(self, key: str, scale: np.ndarray | float, offset: np.ndarray | float) -> Recording:
        """Apply an affine map to the values of an array; nothing is read."""
        affine = self.affine.get(key, Affine()).then(scale, offset)
        return replace(self, affine={**self.affine, key: affine})
