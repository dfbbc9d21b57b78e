"""What stands between a dataset's sources and a batch: indices, permutations, keyed draws, frames, the loader."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from visioncore_engine.data.blend import Blend
from visioncore_engine.data.draws import Key, generator, seed_sequence, uniforms
from visioncore_engine.data.permutation import Permutation

if TYPE_CHECKING:
    from visioncore_engine.data.frames import Frames, window_frames, window_values, with_blank
    from visioncore_engine.data.map_style import MapDataset, MapSource

# Imported on first use: whoever only draws (simulated recordings are written without torch) must not pay for it.
_WITH_TORCH = {
    "Frames": "frames",
    "MapDataset": "map_style",
    "MapSource": "map_style",
    "window_frames": "frames",
    "window_values": "frames",
    "with_blank": "frames",
}

__all__ = [
    "Blend",
    "Frames",
    "Key",
    "MapDataset",
    "MapSource",
    "Permutation",
    "generator",
    "seed_sequence",
    "uniforms",
    "window_frames",
    "window_values",
    "with_blank",
]


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WITH_TORCH[name]}"), name)
