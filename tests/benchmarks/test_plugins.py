"""Many plugins are listed, whatever some of them do; those that a run does not choose add nothing to its steps."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "plugins.py"


@pytest.fixture(scope="session")
def plugins():
    spec = importlib.util.spec_from_file_location("benchmark_plugins", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_crowd_is_listed_where_torch_cannot_be_imported(plugins, tmp_path):
    plugins.crowd(tmp_path)
    plugins.list_plugins(tmp_path)  # compiles bytecode
    text, seconds = plugins.list_plugins(tmp_path, "--json")
    content = json.loads(text)
    states = {row["name"]: (row["status"], row["error"]) for row in content["plugins"]}
    assert sum(states[f"crowd{number:02d}"] == ("loaded", "") for number in range(50)) == 50
    assert states["raising"][0] == "broken"
    assert "RuntimeError: as asked" in states["raising"][1]
    assert states["heavy"][0] == "broken"
    assert "ImportError: torch cannot be imported here" in states["heavy"][1]
    samplers = {row["reference"]: row["status"] for row in content["components"] if row["kind"] == "sampler"}
    assert samplers["clash_one:same"] == samplers["clash_two:same"] == "ambiguous"
    assert samplers["crowd07:own_07"] == "usable"
    assert seconds < 5  # the budget is that of the benchmark; this bound only sees that nothing heavy is imported


@pytest.mark.slow
def test_plugins_that_are_not_chosen_add_no_call_to_a_step(plugins):
    none, installed = plugins.one_run(0, 0, 8), plugins.one_run(5, 0, 8)
    assert none["pluggy"] == installed["pluggy"] == 0
    assert none["python"] == installed["python"]
    chosen = plugins.one_run(5, 5, 8)
    assert chosen["pluggy"] == 0
    assert none["python"] < chosen["python"] <= none["python"] + 5 * 60
