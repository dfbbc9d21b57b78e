"""Cases and the table of checks: what is wrong in a test is said by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from visioncore_engine.errors import ConfigError, PluginError
from visioncore_engine.testing import Case, Given, cases_of, check, checks_of, parametrize_with_checks
from visioncore_engine.testing.toybox import toys

POISON = """
import sys

class Poison:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "numpy", "pydantic", "pytorch_lightning"):
            raise ImportError(f"{name} must not be imported here")

sys.meta_path.insert(0, Poison())
import visioncore_engine.testing
import visioncore_engine.testing.plugin
print(len(dir(visioncore_engine.testing)))
"""


def test_pytest_loads_it_without_anything_heavy():
    done = subprocess.run([sys.executable, "-c", POISON], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 12


def test_every_public_name_is_there():
    import visioncore_engine.testing as kit

    assert all(getattr(kit, name) is not None for name in kit.__all__)
    with pytest.raises(AttributeError, match="no attribute 'chek'"):
        kit.chek  # noqa: B018 - asking for it is the test


def test_a_case_is_resolved_as_a_run_file_is():
    case = Case("sampler", "tiny", options={"batch_size": 4}, registry=toys())
    assert case.choose(batches_per_epoch=3).options.model_dump() == {"batch_size": 4, "batches_per_epoch": 3}
    with pytest.raises(ConfigError, match=r"sampler.batch_sizes: unknown key.*batch_size"):
        case.choose(batch_sizes=1)
    with pytest.raises(PluginError, match=r"no sampler named 'tinny'.*did you mean 'tiny'"):
        Case("sampler", "tinny", registry=toys()).choose()


def test_a_scene_can_be_replaced():
    class Scene:
        facts = None

        def probe(self, built):
            return {"built": built}

    case = Case("logger", "tiny", scene=lambda case: Scene(), registry=toys())
    assert case.scene_of().facts is None
    assert case.probe()["built"].name == "tiny"


def test_given_keeps_the_other_options():
    given = Given(True, momentum=0.5)
    assert (given.value, given.others) == (True, {"momentum": 0.5})


def test_a_check_needs_a_law_a_kind_and_a_name_of_its_own():
    def plan_is_pure(case):
        """Taken."""

    def lawless(case):
        pass

    with pytest.raises(ValueError, match="no kind named sampller"):
        check("sampller")
    checks_of("sampler")
    with pytest.raises(ValueError, match="there is a check 'plan_is_pure'"):
        check("sampler")(plan_is_pure)
    with pytest.raises(ValueError, match="does not say its law"):
        check("sampler")(lawless)
    with pytest.raises(ValueError, match="no kind named 'sampller'"):
        checks_of("sampller")


def test_cases_of_takes_every_component_or_says_that_there_is_none():
    assert {case.name for case in cases_of(toys(), plugin="visioncore_testing")} == {"tiny", "tiny_cut", "tiny_given"}
    with pytest.raises(PluginError, match=r"no component to test.*'nobody'"):
        cases_of(toys(), plugin="nobody")
    with pytest.raises(PluginError, match="none of the components to test"):
        cases_of(toys(), kinds=["sampler"], cases=[Case("loss", "tiny")])
    (case,) = cases_of(toys(), kinds=["sampler"], cases=[Case("sampler", "tiny", options={"batch_size": 2})])
    assert case.choose().options.batch_size == 2


def test_an_expected_failure_must_be_a_check_and_must_not_be_the_rule():
    with pytest.raises(PluginError, match=r"no such check to fail.*did you mean 'plan_is_pure'"):
        parametrize_with_checks([Case("sampler", "tiny", expected={"plan_is_pur": "reason"}, registry=toys())])
    many = {found.name: "it is broken" for found in checks_of("sampler")[:10]}
    with pytest.raises(PluginError, match=f"10 of {len(checks_of('sampler'))} checks are expected to fail"):
        parametrize_with_checks([Case("sampler", "tiny", expected=many, registry=toys())])
