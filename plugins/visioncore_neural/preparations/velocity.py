"""Preparation that differentiates in time, within trials and splits only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from visioncore_engine.contracts import PreparationFacts
from visioncore_neural.options.preparation import VelocityOptions
from visioncore_neural.preparations.arrays import EYE, with_behavior
from visioncore_neural.preparations.unfitted import Unfitted
from visioncore_neural.recording import Recording

__all__ = ["Velocity"]


class Velocity(Unfitted):
    """Change per second since the frame before, added as behavior channels.

    Parameters
    ----------
    options, facts
        What is differentiated, and the group.
    """

    def __init__(self, options: VelocityOptions, facts: PreparationFacts) -> None:
        del facts  # nothing depends on the group
        self._of = options.of

    def apply(self, recording: Recording, state: Mapping[str, Any]) -> Recording:
        """Add the channels; zero in the first frame of each trial and where the split changes."""
        del state  # nothing was fitted
        values = recording.values(self._of, slice(None))
        velocity = np.zeros_like(values)
        velocity[1:] = np.diff(values, axis=0) / np.float32(recording.dt)
        velocity[~recording.follows()] = 0.0
        names = recording.behavior_names if self._of == "behavior" else EYE
        kept = np.arange(len(recording.behavior_names))
        return with_behavior(recording, kept, velocity, (f"{name}_velocity" for name in names))
