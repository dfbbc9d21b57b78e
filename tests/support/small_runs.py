"""A run file of an encoder of simulated recordings that trains in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["small_run"]

_DATA = {
    "name": "synthetic_v1",
    "num_sessions": 2,
    "num_units": 3,
    "size": 12,
    "duration": 30.0,
    "trial": 3.0,
    "num_repeats": 2,
    "window": {"length": 15},
}
_CORE = ({"name": "conv3d", "channels": [4], "kernel_size": [3, 5, 5]},)


def small_run(folder: Path, *, data: dict[str, Any] | None = None, core: Any = _CORE, **blocks: Any) -> dict[str, Any]:
    """Content of the run file, for a run in a folder.

    Parameters
    ----------
    folder
        Where the run is to lie.
    data, core
        Options of the recordings that are others; stages of the core.
    **blocks
        Blocks of the run file that are added or take the place of these.
    """
    return {
        "seed": 3,
        "data": {**_DATA, **(data or {})},
        "sampler": {"name": "shuffled", "batch_size": 150, "batches_per_epoch": 2},
        "model": {"name": "encoder", "core": list(core), "readout": {"name": "gaussian"}},
        "loss": {"name": "poisson"},
        "metrics": ["bits_per_spike"],
        "optimizer": {"name": "adamw", "lr": 0.01},
        "run": {"name": folder.name, "dir": str(folder)},
        **blocks,
    }
