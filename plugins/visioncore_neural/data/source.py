"""The windows of one session in one split, read by index arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cached_property

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from torch import Tensor

from visioncore_engine.contracts import Encoding, Group, GroupSpec
from visioncore_engine.errors import DataError, Problem
from visioncore_neural.data.windows import Windows, needed_frames
from visioncore_neural.recording import PREVIOUS, Recording

__all__ = ["SessionSource"]


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
    ) -> None:
        self.group, self.recording, self.windows = group, recording, windows
        self.num_items = len(windows)
        self.frames_per_item = length
        self._index, self._predictable, self._history = index, predictable, history
        self._reads_inputs = True

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
        return self.stored(items).decoded()

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
        needed = needed_frames(np.asarray(mask.any(-1)), self._history)
        window = self.windows.first[items][:, None] + np.arange(-self._history, self.frames_per_item)
        read = np.minimum(window, self.recording.num_frames - 1)  # what lies past the end is not needed
        inside = np.maximum(frames, 0)
        robs = np.where(mask, self.recording.counts(inside), 0)
        inputs, encoding = self._inputs(read, needed)
        return Group(
            name=self.group.name,
            index=self._index,
            inputs=inputs,
            encoding=encoding,
            targets={"robs": torch.from_numpy(robs.astype(np.float32))},
            mask=torch.from_numpy(mask),
            items=torch.from_numpy(items),
            side={name: self._side(name, read, needed) for name in self.group.side},
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

    def _inputs(self, read: np.ndarray, needed: np.ndarray) -> tuple[Tensor, Encoding | None]:
        """Frames (B, C, T, H, W), and what they stand for."""
        if not self._reads_inputs:
            return torch.zeros((len(read), 0, read.shape[1], *self.recording.stim.shape[2:])), None
        affine = self.recording.encoding("stim")
        if affine is None:
            return _sequence(self._values("stim", read, needed)), None
        frames = _take(np.asarray(self.recording.stim), read)
        scale, offset = (_broadcastable(value) for value in (affine.scale, affine.offset))
        blank = None if needed.all() else torch.from_numpy(~needed)[:, None, :, None, None]
        return _sequence(torch.from_numpy(frames)), Encoding(scale, offset, blank)

    def _side(self, name: str, read: np.ndarray, needed: np.ndarray) -> Tensor:
        if name != PREVIOUS:
            return self._values(name, read, needed)
        values = self.recording.previous(read)
        values[~needed] = 0.0
        return torch.from_numpy(values)

    def _values(self, key: str, read: np.ndarray, needed: np.ndarray) -> Tensor:
        values = self.recording.values(key, read)
        if not needed.all():
            values[~needed] = 0.0
        return torch.from_numpy(values)

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


def _take(array: np.ndarray, read: np.ndarray) -> np.ndarray:
    """``array[read]`` for read (B, T); windows of frames that follow each other are copied as one run of bytes."""
    length, size = read.shape[1], array[:1].size
    runs = array.flags.c_contiguous and bool((read == read[:, :1] + np.arange(length)).all())
    if not runs or size == 0:
        return array.take(read, axis=0)
    # Overlapping rows, indexed: `take` would first copy all of them.
    windows = as_strided(
        array, (len(array) - length + 1, length * size), (array.strides[0], array.itemsize), writeable=False
    )
    return np.asarray(windows[read[:, 0]]).reshape(*read.shape, *array.shape[1:])


def _broadcastable(value: np.ndarray) -> Tensor:
    """A scalar or (C, 1, 1) to float32 (1, C, 1, 1, 1), C or 1."""
    return torch.from_numpy(value.astype(np.float32).reshape(1, -1, 1, 1, 1))


def _sequence(values: Tensor) -> Tensor:
    """(B, T, C, H, W) to (B, C, T, H, W); no copy where there is one channel."""
    return values.transpose(1, 2).contiguous()
