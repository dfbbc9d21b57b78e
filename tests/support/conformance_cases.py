"""A case for every built-in component, and every one of the example package."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import conformance_datasets
import conformance_learning
import conformance_models
import conformance_preparations
import conformance_readers
import conformance_scores
import importlib_metadata

from visioncore_engine import discover
from visioncore_engine.hookspecs import ENTRY_POINT_GROUP
from visioncore_engine.testing import cases_of

__all__ = ["CASES", "REGISTRY"]

SOURCE = Path(__file__).resolve().parents[2] / "plugins" / "example-lab" / "src"
OURS = ("visioncore_common", "visioncore_neural")


def _example_lab():
    """The example package as if it were installed: it need not be, where these tests run."""
    if str(SOURCE) not in sys.path:
        sys.path.append(str(SOURCE))
    import example_lab

    return SimpleNamespace(name="example_lab", value="example_lab", dist=None, load=lambda: example_lab)


def _cases_of_example_lab(registry):
    """What the example package says of its own components."""
    from example_lab.testing import CASES as OWN

    return [replace(case, registry=registry) for case in OWN]


POINTS = [point for point in importlib_metadata.entry_points(group=ENTRY_POINT_GROUP) if point.name in OURS]
REGISTRY = discover(entry_points=[*POINTS, _example_lab()])
ROOMS = (
    conformance_datasets,
    conformance_learning,
    conformance_models,
    conformance_preparations,
    conformance_readers,
    conformance_scores,
)
WRITTEN = [case for room in ROOMS for case in room.CASES]
CASES = cases_of(REGISTRY, cases=(*WRITTEN, *_cases_of_example_lab(REGISTRY)))
