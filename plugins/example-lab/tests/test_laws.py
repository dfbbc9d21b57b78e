"""Every component of this package keeps the laws of its kind."""

from __future__ import annotations

from example_lab.testing import CASES
from visioncore_engine.testing import Case, Check, cases_of, parametrize_with_checks


@parametrize_with_checks(cases_of(plugin="example_lab", cases=CASES))
def test_laws(case: Case, check: Check) -> None:
    check(case)
