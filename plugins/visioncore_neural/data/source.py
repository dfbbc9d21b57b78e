"""The windows of one session in one split, read by index arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from visioncore_engine.contracts import Encoding, Group, GroupSpec
from visioncore_engine.data import window_frames, window_values, with_blank
from visioncore_engine.errors import DataError, Problem
from visioncore_neural.data.windows import Windows, needed_frames
from visioncore_neural.recording import PREVIOUS, Affine, Recording

__all__ = ["SessionSource"]

_FROM_WIDE = (np.uint16, np.int32, np.float32)  # not smaller than values, or not known to torch, but quickly read


class SessionSource:
    """Windows of one split of one recording.

    Parameters
    ----------
    group
        What the session is; its `side` says which side inputs are served.
    index
        Position of the session among all.
    recording
        Prepared recording.
    windows
        The split's windows.
    predictable
        bool (T,), frames that have all their history.
    history, length
        Frames before the first prediction, predictions of a window.
    kept
        The stored stimulus, (T, C, H, W), on the device that wants it; None to read that of the recording.
    """

    def __init__(
        self,
        group: GroupSpec,
        index: int,
        recording: Recording,
        windows: Windows,
        predictable: np.ndarray,
        *,
        history: int,
        length: int,
        kept: Tensor | None = None,
    ) -> None:
        self.group, self.recording, self.windows = group, recording, windows
        self.num_items = len(windows)
        self.frames_per_item = length
        self._index, self._predictable, self._history = index, predictable, history
        self._length = history + length
        self._reads_inputs = True
        self._kept = kept

    def without_inputs(self) -> SessionSource:
        """Give the same windows with inputs (B, 0, T, H, W): the stimulus is not read."""
        blind = copy(self)
        blind._reads_inputs = False  # noqa: SLF001 - a copy of this very class
        return blind

    def weights(self) -> np.ndarray:
        """Frames with at least one valid prediction in each window, float64 (num_items,)."""
        return self.windows.weight

    def column_weights(self) -> dict[str, np.ndarray]:
        """Count the valid predictions of each unit over all windows, ``{"robs": float64 (N,)}``."""
        return {"robs": self._column_weights}

    @cached_property
    def _column_weights(self) -> np.ndarray:
        total = np.zeros(self.recording.num_units)
        for items in self._chunks():
            _, mask = self._predicted(items)
            total += mask.sum((0, 1), dtype=np.float64)
        return total

    def frames(self, items: np.ndarray) -> np.ndarray:
        """Frame of the recording that each prediction is for, int64 (B, L); -1 for padding."""
        ahead = np.arange(self.frames_per_item)
        inside = ahead < self.windows.count[items][:, None]
        return np.where(inside, self.windows.first[items][:, None] + ahead, -1)

    def gather(self, items: np.ndarray) -> Group:
        """Read windows: `stored`, with float32 values as inputs."""
        return self._read(items, decoded=True)

    def stored(self, items: np.ndarray) -> Group:
        """Read windows, with inputs as they are stored where that is smaller than float32.

        Parameters
        ----------
        items
            int64 (B,), window numbers in 0 … `num_items` - 1.

        Returns
        -------
        A `Group`: inputs (B, C, T, H, W), T = history + L, oldest first, of which every frame that no valid prediction
        of the window needs stands for zero; target ``robs`` float32 (B, L, N), zero where masked; mask bool (B, L, N),
        or (B, L, 1) where the session has one mask for all units; side inputs float32 (B, T, K); tags ``repeat_frame``
        and ``frame`` int64 (B, L).

        Raises
        ------
        DataError
            For a window that does not exist.
        """
        return self._read(items, decoded=False)

    def _read(self, items: np.ndarray, *, decoded: bool) -> Group:
        items = np.asarray(items, dtype=np.int64)
        if items.size and not (items.min() >= 0 and items.max() < self.num_items):
            raise DataError(
                Problem(
                    where=self.recording.where,
                    what=f"window numbers lie in 0 … {self.num_items - 1}",
                    given=f"{items.min()} … {items.max()}",
                )
            )
        frames, mask = self._predicted(items)
        predicted = np.asarray(mask[..., 0] if mask.shape[-1] == 1 else mask.any(-1))
        blank = None if predicted.all() else _unless_all(needed_frames(predicted, self._history))
        first = self.windows.first[items] - self._history
        robs = self.recording.counts(np.maximum(frames, 0))
        robs = robs if mask.all() else np.where(mask, robs, 0)
        inputs, encoding = self._inputs(first, blank, decoded=decoded)
        return Group(
            name=self.group.name,
            index=self._index,
            inputs=inputs,
            encoding=encoding,
            targets={"robs": torch.from_numpy(robs.astype(np.float32, copy=False))},
            mask=torch.from_numpy(mask),
            items=torch.from_numpy(items),
            side={name: self._side(name, first, blank) for name in self.group.side},
            tags={name: torch.from_numpy(tag) for name, tag in self._tags(frames).items()},
        )

    def score(self, name: str) -> np.ndarray:
        """Score of each window, float64 (num_items,).

        ``contrast``: spatial standard deviation of the stimulus in the last predicted frame, over its median over the
        session's windows, clipped to [0, 1].

        Raises
        ------
        KeyError
            For another name.
        DataError
            Where the contrast is undefined: most windows end in a uniform frame.
        """
        known: dict[str, Callable[[], np.ndarray]] = {"contrast": lambda: self._contrast}
        if name not in known:
            raise KeyError(f"no score named {name!r}; scores: {', '.join(known)}")
        return known[name]()

    @cached_property
    def _contrast(self) -> np.ndarray:
        last = self.windows.first + self.windows.count - 1
        deviation = np.concatenate(
            [np.zeros(0)]
            + [
                self.recording.values("stim", last[items]).reshape(len(items), -1).std(1, dtype=np.float64)
                for items in self._chunks()
            ]
        )
        # A window may end in frames that nothing needs and that do not exist: it then has no contrast to speak of.
        deviation = np.where(np.isfinite(deviation), deviation, 0.0)
        median = float(np.median(deviation)) if len(deviation) else 1.0
        if median == 0.0:
            raise DataError(
                Problem(
                    where=self.recording.where,
                    key="stim",
                    what="has no contrast: more than half of the windows end in a uniform frame",
                    given=f"frames of shape {tuple(self.recording.stim.shape[1:])}",
                    todo="use a sampler that does not weigh windows by contrast",
                )
            )
        return np.clip(deviation / median, 0.0, 1.0)

    def _predicted(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Frame of each prediction, (B, L), and which of them count, bool (B, L, N or 1)."""
        frames = self.frames(items)
        inside = np.maximum(frames, 0)
        counts = (frames >= 0) & self._predictable[inside]
        return frames, counts[..., None] & self.recording.validity(inside)

    def _inputs(self, first: np.ndarray, blank: np.ndarray | None, *, decoded: bool) -> tuple[Tensor, Encoding | None]:
        """Frames (B, C, T, H, W), and what they stand for where that is left to be done."""
        if not self._reads_inputs:
            return torch.zeros((len(first), 0, self._length, *self.recording.stim.shape[2:])), None
        if self._encoding is None:
            return self._values("stim", first, blank).transpose(1, 2).contiguous(), None
        frames = np.asarray(self.recording.stim) if self._kept is None else self._kept
        if decoded or (self._kept is None and self.recording.encoding("stim") is None):
            return window_values(frames, first, self._length, self._encoding, blank), None
        stored = window_frames(frames, first, self._length)
        encoding = with_blank(self._encoding, blank)
        return stored, encoding if self._kept is None else encoding.to(stored.device)

    @cached_property
    def _encoding(self) -> Encoding | None:
        """What stored frames stand for; None where they are values, or only NumPy makes values of them."""
        affine = self.recording.encoding("stim")
        if affine is None and (self._kept is not None or self.recording.stim.dtype in _FROM_WIDE):
            affine = self.recording.affine.get("stim", None if self._kept is None else Affine())
        if affine is None:
            return None
        encoding = Encoding(_broadcastable(affine.scale), _broadcastable(affine.offset))
        return encoding if self._kept is None else encoding.to(self._kept.device)

    def _side(self, name: str, first: np.ndarray, blank: np.ndarray | None) -> Tensor:
        if name != PREVIOUS:
            return self._values(name, first, blank)
        return _blanked(torch.from_numpy(self.recording.previous(self._read_frames(first))), blank)

    def _values(self, key: str, first: np.ndarray, blank: np.ndarray | None) -> Tensor:
        """Values of an array in windows, float32 (B, T, …)."""
        array = self.recording.array(key)
        if array.dtype == np.float32 and key not in self.recording.affine:
            rows = np.asarray(array)[:, None]
            return _blanked(window_frames(rows, first, self._length)[:, 0], blank)
        return _blanked(torch.from_numpy(self.recording.values(key, self._read_frames(first))), blank)

    def _read_frames(self, first: np.ndarray) -> np.ndarray:
        """Frames of windows, int64 (B, T); what lies past the end is not needed, the last frame stands for it."""
        return np.asarray(np.minimum(first[:, None] + np.arange(self._length), self.recording.num_frames - 1))

    def _tags(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        tags = {"frame": frames}
        if "repeat_frame" in self.group.tags and self.recording.repeat_frame is not None:
            repeat = np.asarray(self.recording.repeat_frame[np.maximum(frames, 0)], dtype=np.int64)
            tags["repeat_frame"] = np.where(frames >= 0, repeat, -1)
        return tags

    def _chunks(self, frames: int = 4096) -> list[np.ndarray]:
        """Window numbers in order, about `frames` predictions at a time."""
        size = max(frames // self.frames_per_item, 1)
        return [np.arange(i, min(i + size, self.num_items)) for i in range(0, self.num_items, size)]


def _unless_all(needed: np.ndarray) -> np.ndarray | None:
    """Frames that are not needed; None where all are."""
    return None if needed.all() else ~needed


def _blanked(values: Tensor, blank: np.ndarray | None) -> Tensor:
    """Values (B, T, …), zero where `blank` (B, T) says so."""
    if blank is not None:
        values[torch.from_numpy(blank)] = 0.0
    return values


def _broadcastable(value: np.ndarray) -> Tensor:
    """A scalar, or what broadcasts to a frame (C, H, W), to float32 of five axes: (B, C, T, H, W)."""
    framed = np.asarray(value, np.float32).reshape((1,) * (3 - value.ndim) + value.shape)
    return torch.from_numpy(framed[None, :, None])
