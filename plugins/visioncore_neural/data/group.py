"""What is known of a session as a group: labels, shapes, units and their mean responses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from visioncore_engine.contracts import GroupSpec, TargetSpec
from visioncore_neural.recording import PREVIOUS, SPLITS, Recording

__all__ = ["group_of", "training_mean"]


def group_of(recording: Recording, split: np.ndarray, side: tuple[str, ...], facts: Mapping[str, Any]) -> GroupSpec:
    """Describe a prepared recording before any window is read.

    Parameters
    ----------
    recording, split
        The recording, and the split of each frame, int (T,).
    side
        Side inputs that are served.
    facts
        More plain values for `GroupSpec.facts`.
    """
    tags = {"frame": recording.num_frames}
    if recording.repeat_frame is not None:
        tags["repeat_frame"] = int(np.asarray(recording.repeat_frame).max()) + 1
    target = TargetSpec(
        kind=recording.kind,
        size=recording.num_units,
        columns="units",
        ids=recording.units,
        mean=training_mean(recording, split),
    )
    _, channels, height, width = recording.stim.shape
    return GroupSpec(
        name=recording.name,
        labels={"sessions": recording.name, "subjects": recording.subject},
        input_shape=(channels, height, width),
        targets={"robs": target},
        side={name: recording.num_units if name == PREVIOUS else int(recording.array(name).shape[1]) for name in side},
        tags=tags,
        dt=recording.dt,
        facts={**({"degrees_per_pixel": recording.degrees_per_pixel} if recording.degrees_per_pixel else {}), **facts},
    )


def training_mean(recording: Recording, split: np.ndarray) -> tuple[float, ...]:
    """Mean of each unit over its valid training frames; NaN for a unit that has none."""
    train = (split == SPLITS["train"]) & (np.asarray(recording.trial) >= 0)
    total = np.zeros(recording.num_units)
    num = np.zeros(recording.num_units)
    for chunk in recording.chunks():
        counted = recording.validity(chunk) & train[chunk][:, None]
        total += np.where(counted, recording.counts(chunk), 0).sum(0, dtype=np.float64)
        num += np.broadcast_to(counted, (len(counted), recording.num_units)).sum(0)
    return tuple(float(t / n) if n else math.nan for t, n in zip(total, num, strict=True))
