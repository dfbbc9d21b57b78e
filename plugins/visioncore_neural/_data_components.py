"""Declarations of datasets, readers, preparations, samplers and commands."""

from __future__ import annotations

from collections.abc import Mapping

from visioncore_engine.component import Command, Component

__all__ = ["COMMANDS", "COMPONENTS"]

_OPTIONS = "visioncore_neural.options"

COMPONENTS: Mapping[str, tuple[Component, ...]] = {
    "dataset": (
        Component(
            name="synthetic_v1",
            summary="simulated sessions with known receptive fields, delays and rates",
            options=f"{_OPTIONS}.dataset:SyntheticOptions",
            build="visioncore_neural.simulation.dataset:Synthetic",
        ),
    ),
}

COMMANDS: tuple[Command, ...] = ()
