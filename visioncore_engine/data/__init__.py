"""What stands between a dataset's sources and a batch: indices, permutations, keyed draws, the loader."""

from __future__ import annotations

from visioncore_engine.data.draws import Key, generator, seed_sequence, uniforms
from visioncore_engine.data.permutation import Permutation

__all__ = ["Key", "Permutation", "generator", "seed_sequence", "uniforms"]
