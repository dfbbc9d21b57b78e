"""What stands between a dataset's sources and a batch: indices, permutations, keyed draws, frames, the loader."""

from __future__ import annotations

from visioncore_engine.data.blend import Blend
from visioncore_engine.data.draws import Key, generator, seed_sequence, uniforms
from visioncore_engine.data.frames import Frames, window_frames, window_values, with_blank
from visioncore_engine.data.map_style import MapDataset, MapSource
from visioncore_engine.data.permutation import Permutation

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
