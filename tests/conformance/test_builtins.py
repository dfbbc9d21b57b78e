"""Every built-in component, and every one of the example package, keeps the laws of its kind."""

from __future__ import annotations

from conformance_cases import CASES, REGISTRY

from visioncore_engine.component import KINDS
from visioncore_engine.testing import parametrize_with_checks


@parametrize_with_checks(CASES)
def test_component_keeps_the_laws_of_its_kind(case, check):
    check(case)


def test_every_kind_and_every_component_is_there():
    assert {case.kind for case in CASES} == set(KINDS)
    assert len(CASES) == len(REGISTRY.entries)


def test_nothing_is_expected_to_fail_without_a_reason():
    assert all(len(reason.split()) > 3 for case in CASES for reason in (*case.expected.values(), *case.inert.values()))
