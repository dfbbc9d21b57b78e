"""Experiments on a trained model: predictions for any stimulus, receptive fields, most exciting inputs, ablations."""

from __future__ import annotations

from visioncore_neural.insilico.exciting import ExcitingInput, exciting_input
from visioncore_neural.insilico.twin import Twin

__all__ = ["ExcitingInput", "Twin", "exciting_input"]
