"""Every component of this package keeps the laws of its kind."""

from __future__ import annotations

from visioncore_engine.testing import Case, Check, cases_of, parametrize_with_checks

CASES = [Case("modulator", "scalar_gain", variants={"side": "eyepos"})]  # the rest needs no word


@parametrize_with_checks(cases_of(plugin="example_lab", cases=CASES))
def test_laws(case: Case, check: Check) -> None:
    check(case)
