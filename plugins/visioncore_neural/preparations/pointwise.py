"""Preparations that change every value by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from visioncore_engine.contracts import PreparationFacts
from visioncore_neural.options.preparation import SplitReLUOptions, SymlogOptions
from visioncore_neural.preparations.arrays import chosen_channels, replaced, with_behavior
from visioncore_neural.preparations.unfitted import Unfitted
from visioncore_neural.recording import Recording

__all__ = ["SplitReLU", "Symlog"]


class Symlog(Unfitted):
    """``sign(x) log(1 + |x|)``.

    Parameters
    ----------
    options, facts
        Which array, and the group.
    """

    def __init__(self, options: SymlogOptions, facts: PreparationFacts) -> None:
        del facts  # nothing depends on the group
        self._of, self._channels = options.of, options.channels

    def apply(self, recording: Recording, state: Mapping[str, Any]) -> Recording:
        """Change the values."""
        del state  # nothing was fitted
        channels = chosen_channels(recording, self._of, self._channels)
        values = recording.values(self._of, slice(None))
        values[:, channels] = np.sign(values[:, channels]) * np.log1p(np.abs(values[:, channels]))
        return replaced(recording, self._of, values)


class SplitReLU(Unfitted):
    """``relu(x)`` and ``relu(-x)`` of behavior channels, as ``<name>_positive`` and ``<name>_negative``.

    They follow behind the channels that stay: all positive ones, then all negative ones.

    Parameters
    ----------
    options, facts
        Which channels, and the group.
    """

    def __init__(self, options: SplitReLUOptions, facts: PreparationFacts) -> None:
        del facts  # nothing depends on the group
        self._channels = options.channels

    def apply(self, recording: Recording, state: Mapping[str, Any]) -> Recording:
        """Split the channels."""
        del state  # nothing was fitted
        channels = chosen_channels(recording, "behavior", self._channels)
        values = recording.values("behavior", slice(None))[:, channels]
        both = np.maximum(np.concatenate([values, -values], axis=1), np.float32(0))
        kept = np.setdiff1d(np.arange(len(recording.behavior_names)), channels)
        names = [recording.behavior_names[i] for i in channels]
        signs = ("positive", "negative")
        return with_behavior(recording, kept, both, (f"{name}_{sign}" for sign in signs for name in names))
