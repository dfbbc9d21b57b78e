"""Recordings of noise, for benchmarks that look at how data move and not at what they say."""

from __future__ import annotations

import numpy as np
from old_data import MIDDLE, RANGE

from visioncore_engine.contracts import DatasetFacts
from visioncore_neural.data.dataset import RecordingsDataset
from visioncore_neural.options.dataset import RecordingsOptions, WindowOptions
from visioncore_neural.recording import Recording

__all__ = ["NUM_BEHAVIOR", "dataset_of", "noise"]

NUM_BEHAVIOR = 42


def noise(name: str, *, frames: int, size: int, num_units: int, seed: int, trial: int = 1200) -> Recording:
    """One recording: uint8 frames, float32 responses, one mask for all units; the last tenth validates.

    Parameters
    ----------
    name
        Of the session.
    frames, size, num_units
        How large it is.
    seed
        Of the draws.
    trial
        Frames in a trial.
    """
    rng = np.random.default_rng(seed)
    return Recording(
        name=name,
        subject=name.partition("_")[0],
        dt=1 / 120,
        stim=rng.integers(0, 256, (frames, 1, size, size), dtype=np.uint8),
        robs=rng.poisson(0.2, (frames, num_units)).astype(np.float32),
        valid=rng.random(frames) > 0.1,
        trial=(np.arange(frames) // trial).astype(np.int32),
        units=tuple(f"u{unit:03d}" for unit in range(num_units)),
        split=np.where(np.arange(frames) < 0.9 * frames, 0, 1).astype(np.int8),
        behavior=rng.standard_normal((frames, NUM_BEHAVIOR), dtype=np.float32),
        behavior_names=tuple(f"channel_{channel}" for channel in range(NUM_BEHAVIOR)),
        fingerprint=f"{name} {seed}",  # nobody reads it here, and computing it reads everything
    ).rescaled("stim", 1 / RANGE, -MIDDLE / RANGE)


def dataset_of(recordings: list[Recording], length: int) -> RecordingsDataset:
    """Open recordings in memory, as windows of `length` predicted frames."""
    options = RecordingsOptions(window=WindowOptions(length=length))
    return RecordingsDataset(recordings, options, DatasetFacts(seed=0))
