"""What cannot be tested here is skipped, and a failure in continuous integration, which installs what it needs."""

from __future__ import annotations

import pytest
from clusters import needs


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_missing_program(monkeypatch, ci, outcome):
    monkeypatch.setenv("CI", ci)
    needs(("sh",), "a shell")
    with pytest.raises(outcome, match="no-such-program cannot be found; install nothing"):
        needs(("sh", "no-such-program"), "nothing")
