"""The start-up benchmark counts CPU time, in turns with a bare Python."""

from __future__ import annotations

import sys

import pytest
import startup

BUSY = [sys.executable, "-c", "sum(i * i for i in range(500_000))"]


def test_multiples_are_of_the_bare_interpreter(monkeypatch):
    monkeypatch.setattr(startup, "COMMANDS", {"busy": (BUSY, 1e-6, 1.01)})
    monkeypatch.setattr(startup, "REPEATS", 2)
    seconds, multiple = startup.measure()
    assert seconds.value > seconds.detail["bare"]
    assert multiple.value > 1.01
    assert seconds.reached is False
    assert multiple.reached is False


def test_a_command_that_fails_is_not_measured(tmp_path):
    with pytest.raises(Exception, match="exit status 3"):
        startup.cpu_seconds([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)
