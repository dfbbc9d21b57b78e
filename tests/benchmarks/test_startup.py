"""The start-up benchmark counts CPU time, keeps budgets and says where it ran."""

from __future__ import annotations

import json
import sys

import pytest

PASS = [sys.executable, "-c", "pass"]


@pytest.fixture
def two_commands(startup, monkeypatch):
    busy = [sys.executable, "-c", "sum(i * i for i in range(500_000))"]
    monkeypatch.setattr(startup, "COMMANDS", {"bare": (PASS, None), "busy": (busy, 1000.0)})
    return startup


def test_multiples_are_of_the_bare_interpreter(two_commands, capsys):
    assert two_commands.main(["--json", "--repeats", "3", "--no-write"]) == 0
    result = json.loads(capsys.readouterr().out)
    bare, busy = result["commands"]
    assert bare["multiple"] == 1.0
    assert busy["cpu_seconds"] > bare["cpu_seconds"]
    assert result["machine"]["cores"] >= 1


def test_a_budget_that_is_exceeded_is_an_exit_code(two_commands, monkeypatch, capsys):
    monkeypatch.setattr(two_commands, "COMMANDS", {"bare": (PASS, None), "late": (PASS, 1e-6)})
    assert two_commands.main(["--repeats", "1", "--no-write"]) == 1
    assert "over budget: late" in capsys.readouterr().err


def test_the_result_is_written(two_commands, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(two_commands, "RESULT", tmp_path / "results" / "startup.json")
    two_commands.main(["--repeats", "1"])
    assert json.loads((tmp_path / "results" / "startup.json").read_text())["repeats"] == 1
    assert "busy" in capsys.readouterr().out


def test_a_command_that_fails_is_not_measured(startup, tmp_path):
    with pytest.raises(Exception, match="exit status 3"):
        startup.cpu_seconds([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)
