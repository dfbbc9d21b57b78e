"""The checks pass good components, and name what is wrong with faulty ones."""

from __future__ import annotations

from types import SimpleNamespace

import kit_plugin
import pytest

from visioncore_engine import discover
from visioncore_engine.component import KINDS
from visioncore_engine.testing import Case, cases_of, checks_of, parametrize_with_checks
from visioncore_engine.testing.toybox import toys

POINT = SimpleNamespace(name="kit_plugin", value="kit_plugin", dist=None, load=lambda: kit_plugin)
REGISTRY = discover(entry_points=[POINT])
GOOD = [Case(*words, registry=REGISTRY) for words in (("scheduler", "halving"), ("regularizer", "squares"))]
GOOD.append(Case("callback", "counter", registry=REGISTRY))
TOYS = cases_of(toys(), kinds=("dataset", "logger", "optimizer", "sampler"))
FAULTS = [  # and the checks that find them
    ("scheduler", "deaf", {"every_option_acts"}),
    ("scheduler", "forgetful", {"resume_continues_the_curve", "state_is_plain"}),
    ("scheduler", "restless", {"global_generators_are_left_alone", "same_seed_gives_the_same"}),
    ("regularizer", "detached", {"gradient_equals_finite_differences"}),
    ("callback", "sleeper", {"modes_are_left_alone"}),
]


@parametrize_with_checks([*GOOD, *TOYS])
def test_good_components_pass(case, check):
    check(case)


@pytest.mark.parametrize(("kind", "name", "expected"), FAULTS)
def test_faulty_components_fail_where_they_are_faulty(kind, name, expected):
    case = Case(kind, name, registry=REGISTRY)
    failed = set()
    for check in checks_of(kind):
        try:
            check(case)
        except AssertionError as error:
            failed.add(check.name if str(error) else f"{check} says nothing")
    assert expected <= failed
    assert len(failed) <= 4, f"more checks fail than the fault explains: {failed}"


def test_every_kind_has_laws_of_its_own():
    every = {check.name for check in checks_of("sampler")} & {check.name for check in checks_of("logger")}
    assert len(every) >= 8
    for kind in KINDS:
        laws = [check for check in checks_of(kind) if check.name not in every]
        assert len(laws) >= 3, kind
        assert all(check.law.endswith(".") for check in laws)
