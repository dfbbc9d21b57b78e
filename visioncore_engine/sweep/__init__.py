"""Many runs from one file: grids, overlays and seeds, carried out one by one, side by side, on SLURM, or as a study."""

from __future__ import annotations

from visioncore_engine.sweep.options import SweepOptions
from visioncore_engine.sweep.plan import Plan, Point

__all__ = ["Plan", "Point", "SweepOptions"]
