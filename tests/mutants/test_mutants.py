"""The checks find faulty components: nineteen of twenty, and of the others it is known why not."""

from __future__ import annotations

import pytest
from faults import FAULTS
from mutation import killer, with_builder
from testing_page import generated
from verdicts import EQUIVALENT, REASONS, table, verdicts

from visioncore_engine.testing import Case

WANTED = 0.95


@pytest.fixture(scope="session")
def found():
    return verdicts()


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_checks_find_nineteen_of_twenty(found):
    mechanical = [one for one in found if one.rule]
    assert len(found) >= 50
    assert len(mechanical) >= len(found) / 2
    assert len({one.title for one in found}) == len(found)
    killed = [one for one in found if one.killer]
    assert len(killed) >= WANTED * (len(found) - len(EQUIVALENT))


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_of_every_survivor_it_is_known_why(found):
    assert {one.title for one in found if not one.killer} == set(REASONS)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_table_of_the_page_is_that_of_the_verdicts(found):
    assert generated("mutants", table(found)), "stale: run this test with VISIONCORE_WRITE_TABLES=1"


def test_a_few_faults_are_found_in_the_fast_tests_too():
    """One for each kind of quick checks, so that a harness that finds nothing is seen at once."""
    from conformance_cases import CASES  # which looks all plugins up

    own = {(case.kind, case.entry.name): case for case in CASES}
    few = {fault.kind: fault for fault in FAULTS if fault.kind in ("scheduler", "regularizer", "optimizer", "loss")}
    for fault in few.values():
        case: Case = own[fault.kind, fault.component]
        assert killer(case) is None
        assert killer(with_builder(case, fault.build)), fault.title
