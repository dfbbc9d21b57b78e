"""What a session of pytest does with the checks of a plugin's components: ids, counts, and no silent skip."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from visioncore_engine.testing import checks_of

TESTS = """
import pytest
from visioncore_engine.testing import Case, parametrize_with_checks
from visioncore_engine.testing.toybox import toys

CASES = [Case("optimizer", "tiny", {extra} registry=toys())]

@parametrize_with_checks(CASES)
def test_laws(case, check):
    {body}
"""


@pytest.fixture
def session(tmp_path):
    def run(body, *arguments, extra=""):
        (tmp_path / "test_laws.py").write_text(TESTS.format(body=body, extra=extra))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", *arguments, "test_laws.py"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTEST_ADDOPTS": ""}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return run


def test_ids_counts_and_expected_failures(session):
    broken = 'if check.name == "it_goes_downhill": raise AssertionError("as expected")\n    check(case)'
    done = session(broken, extra='expected={"it_goes_downhill": "it goes up, which is what is wanted"},')
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_laws[optimizer:tiny-resume_takes_the_same_path]" in done.stdout
    assert f"conformance: 1 component, {len(checks_of('optimizer'))} checks, 1 expected failure" in done.stdout
    assert "it goes up, which is what is wanted" in done.stdout


def test_a_skipped_check_fails_the_session(session):
    body = 'if check.name == "it_builds": pytest.skip("not today")\n    check(case)'
    done = session(body, "-k", "builds or downhill", extra='expected={"it_goes_downhill": "it is said to fail"},')
    assert done.returncode == 1, done.stdout
    assert "a check may not be skipped: optimizer:tiny-it_builds" in done.stdout
    assert "[XPASS(strict)]" in done.stdout  # an expected failure that passes


@pytest.mark.slow
def test_a_skip_alone_fails_the_session_and_what_is_not_asked_for_is_not_missed(session):
    done = session('pytest.skip("not today")', "-k", "it_builds")
    assert done.returncode == 1, done.stdout
    done = session("check(case)", "-k", "it_builds")
    assert done.returncode == 0, done.stdout
    assert "conformance: 1 component, 1 check" in done.stdout
