"""Runs of frames that follow each other, out of one large array: as they are stored, or as values.

N stored frames, B windows, T frames in each, C channels. The compiled road and the other give the same bits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from torch import Tensor

from visioncore_engine.contracts import Encoding
from visioncore_engine.data import native

__all__ = ["Frames", "window_frames", "window_values", "with_blank"]

Frames = np.ndarray | Tensor
"""Stored frames (N, C, …): an array, perhaps a memory map, or a tensor on the device that wants them."""


def window_frames(frames: Frames, first: np.ndarray, length: int) -> Tensor:
    """Stored frames of windows, (B, C, T, …), where `frames` are; past the end stands the last frame.

    Parameters
    ----------
    frames
        (N, C, …).
    first
        int64 (B,), number of each window's first frame.
    length
        T.
    """
    if isinstance(frames, Tensor):
        return _of_tensor(frames, first, length)
    library = native.library()
    # NumPy copies a run of bytes as fast, and is called faster.
    runs = frames.shape[1] == 1 and first.max(initial=0) <= len(frames) - length
    if library is None or runs or not _is_plain(frames):
        return _of_array(frames, first, length)
    out = _empty(frames, first, length, frames.dtype)
    native.call(
        library.copy_windows,
        *(frames, len(frames), frames.shape[1], frames[0, 0].nbytes),
        *(np.ascontiguousarray(first, np.int64), len(first), length, out.numpy()),
    )
    return out


def window_values(
    frames: Frames, first: np.ndarray, length: int, encoding: Encoding, blank: np.ndarray | None = None
) -> Tensor:
    """Values of windows, float32 (B, C, T, …), where `frames` are; past the end stands the last frame.

    Parameters
    ----------
    frames, first, length
        As for `window_frames`.
    encoding
        Its `scale` and `offset` hold one number, or one for each channel: (1, C, 1, …).
    blank
        bool (B, T): for these frames 0 stands, whatever they hold; None for none.
    """
    library = native.library()
    if isinstance(frames, Tensor) or library is None or not _may_compile(frames, encoding):
        stored = window_frames(frames, first, length)
        return with_blank(encoding, blank).to(stored.device).decode(stored)
    out = _empty(frames, first, length, np.float32)
    channels = frames.shape[1]
    native.call(
        getattr(library, f"values_{frames.dtype.name}"),
        *(frames, len(frames), channels, frames[0, 0].size),
        *(np.ascontiguousarray(first, np.int64), len(first), length),
        None if blank is None else np.ascontiguousarray(blank, bool),
        *(_per_channel(value, channels) for value in (encoding.scale, encoding.offset)),
        out.numpy(),
    )
    return out


def with_blank(encoding: Encoding, blank: np.ndarray | None) -> Encoding:
    """Encoding in which zero stands for some frames of each window, bool (B, T)."""
    if blank is None:
        return encoding
    tail = (1,) * (encoding.scale.ndim - 3)
    return replace(encoding, blank=torch.from_numpy(blank).reshape(len(blank), 1, blank.shape[1], *tail))


def _is_plain(frames: np.ndarray) -> bool:
    """Whether the bytes of a frame, and of the frames, follow each other."""
    return frames.ndim > 1 and frames.size > 0 and frames.flags.c_contiguous and frames.dtype.isnative


def _may_compile(frames: np.ndarray, encoding: Encoding) -> bool:
    per_channel = all(value.numel() in (1, frames.shape[1]) for value in (encoding.scale, encoding.offset))
    return per_channel and _is_plain(frames) and frames.dtype.name in native.VALUES_OF


def _per_channel(value: Tensor, channels: int) -> np.ndarray:
    return np.ascontiguousarray(np.broadcast_to(value.numpy().ravel(), (channels,)), np.float32)


def _empty(frames: np.ndarray, first: np.ndarray, length: int, dtype: np.dtype[Any] | type) -> Tensor:
    # NumPy's memory lies in large pages where the system has any; torch's does not.
    return torch.from_numpy(np.empty((len(first), frames.shape[1], length, *frames.shape[2:]), dtype))


def _of_tensor(frames: Tensor, first: np.ndarray, length: int) -> Tensor:
    start = torch.from_numpy(np.ascontiguousarray(first, np.int64)).to(frames.device, non_blocking=True)
    read = (start[:, None] + torch.arange(length, device=frames.device)).clamp_(max=len(frames) - 1)
    return _channels_first(frames[read])


def _of_array(frames: np.ndarray, first: np.ndarray, length: int) -> Tensor:
    inside = len(frames) - length
    if frames.flags.c_contiguous and frames[:1].size > 0 and first.max(initial=0) <= inside:
        # A run of frames is one run of bytes: overlapping rows, indexed (`take` would first copy all of them).
        rows = as_strided(
            frames,
            (inside + 1, length * frames[:1].size),
            (frames.strides[0], frames.itemsize),
            writeable=False,
        )
        taken = np.asarray(rows[first]).reshape(len(first), length, *frames.shape[1:])
    else:
        read = np.minimum(first[:, None] + np.arange(length), len(frames) - 1)
        taken = np.asarray(frames.take(read, axis=0))
    return _channels_first(torch.from_numpy(taken))


def _channels_first(frames: Tensor) -> Tensor:
    """(B, T, C, …) to (B, C, T, …); no copy where there is one channel."""
    return frames.transpose(1, 2).contiguous()
