"""Every built-in component, and every one of the example package, keeps the laws of its kind."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import conformance_data
import conformance_learning
import importlib_metadata

from visioncore_engine import discover
from visioncore_engine.component import KINDS
from visioncore_engine.hookspecs import ENTRY_POINT_GROUP
from visioncore_engine.testing import cases_of, parametrize_with_checks

SOURCE = Path(__file__).resolve().parents[2] / "plugins" / "example-lab" / "src"


def example_lab():
    """The example package as if it were installed: it need not be, where these tests run."""
    if str(SOURCE) not in sys.path:
        sys.path.append(str(SOURCE))
    import example_lab

    return SimpleNamespace(name="example_lab", value="example_lab", dist=None, load=lambda: example_lab)


OURS = ("visioncore_common", "visioncore_neural")
POINTS = [point for point in importlib_metadata.entry_points(group=ENTRY_POINT_GROUP) if point.name in OURS]
REGISTRY = discover(entry_points=[*POINTS, example_lab()])
CASES = cases_of(REGISTRY, cases=(*conformance_learning.CASES, *conformance_data.CASES))


@parametrize_with_checks(CASES)
def test_component_keeps_the_laws_of_its_kind(case, check):
    check(case)


def test_every_kind_and_every_component_is_there():
    assert {case.kind for case in CASES} == set(KINDS)
    assert len(CASES) == len(REGISTRY.entries)


def test_nothing_is_expected_to_fail_without_a_reason():
    assert all(len(reason.split()) > 3 for case in CASES for reason in (*case.expected.values(), *case.inert.values()))
