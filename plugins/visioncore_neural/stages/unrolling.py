"""Running a recurrent stage anew for every output frame."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["per_prediction"]


def per_prediction(run: Callable[[Tensor], Tensor], driven: Tensor, num_frames: int) -> Tensor:
    """Start anew `num_frames` - 1 frames before every output frame: (B, C, T, ...) -> (B, D, T - num_frames + 1, ...).

    Parameters
    ----------
    run
        Last state of windows, (M, C, num_frames, ...) -> (M, D, ...).
    driven
        What the stage runs over, (B, C, T, H, W).
    num_frames
        Frames of a run.
    """
    windows = driven.unfold(2, num_frames, 1)  # (B, C, L, H, W, num_frames)
    num_windows, length = windows.shape[0], windows.shape[2]
    windows = windows.permute(0, 2, 1, 5, 3, 4).flatten(0, 1)
    return torch.unflatten(run(windows), 0, (num_windows, length)).transpose(1, 2)
