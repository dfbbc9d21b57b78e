"""Figures are compared with the stored ones as promised, and the page says what is stored."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

import figure
import pytest
import side_by_side
import suite
from figure import Figure


def store(folder, *figures):
    result = {"machine": {}, "figures": [asdict(one) for one in figures]}
    (folder / "metric.json").write_text(json.dumps(result))


@pytest.mark.parametrize(
    ("better", "stored", "value", "worse"),
    [
        ("more", 8.0, 6.1, False),
        ("more", 8.0, 5.9, True),
        ("more", 8.0, 80.0, False),
        ("less", 0.06, 0.079, False),
        ("less", 0.06, 0.081, True),
        ("less", 0.06, 0.001, False),
        ("less", -0.1, 0.0001, False),  # overhead that is lost in the noise
        ("more", None, 1.0, False),
        ("more", 8.0, None, False),
    ],
)
def test_worse_is_more_than_a_quarter_worse(better, stored, value, worse):
    before, now = Figure("ratio", stored, better, 0.05), Figure("ratio", value, better, 0.05)
    assert now.is_worse_than(before, suite.TOLERANCE) is worse


@pytest.mark.parametrize(
    ("better", "value", "reached"),
    [("more", 5.0, True), ("more", 4.9, False), ("less", 5.0, True), ("less", 5.1, False), ("more", None, None)],
)
def test_a_target_is_reached_or_missed(better, value, reached):
    assert Figure("ratio", value, better, 5.0).reached is reached
    assert Figure("ratio", value, better).reached is None


def test_a_figure_is_lost_only_where_three_of_three_repeats_are_worse(tmp_path):
    store(tmp_path, Figure("a", 10.0), Figure("b", 10.0))
    later = iter([[Figure("a", 1.0), Figure("b", 9.0)], [Figure("a", 2.0), Figure("b", 1.0)]])
    bad = [Figure("a", 3.0), Figure("b", 3.0)]
    assert suite.regressions("metric", bad, lambda _: ({}, next(later)), tmp_path) == {"a"}
    assert next(later, None) is None


def test_nothing_is_measured_again_where_all_is_well(tmp_path):
    store(tmp_path, Figure("a", 10.0))
    assert suite.regressions("metric", [Figure("a", 9.0)], lambda _: pytest.fail("again"), tmp_path) == set()


def test_comparing_is_an_exit_code(monkeypatch, capsys):
    monkeypatch.setattr(suite, "measured", lambda row: ({"load": 0}, [Figure("a", 1.0)]))
    monkeypatch.setattr(suite, "read", lambda row, folder=None: ({}, [Figure("a", 10.0)]))
    assert suite.main(["metric"]) == 0
    assert suite.main(["metric", "--compare"]) == 1
    assert "metric: a" in capsys.readouterr().err


def test_the_page_holds_the_stored_figures():
    assert suite.PAGE.read_text(encoding="utf-8") == suite.draw(), "run: python benchmarks/suite.py --table"


def test_every_row_is_explained_and_stored():
    page = suite.PAGE.read_text(encoding="utf-8")
    for row in suite.ROWS:
        assert f"benchmarks/{row}.py" in page
        machine, figures = figure.read(row)
        assert figures, row
        assert {"cores", "load", "torch", "threads"} <= machine.keys()
    assert figure.read(suite.GPU)[1] or len(re.findall("not measured", page)) >= 2


def test_a_command_stores_what_it_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figure, "RESULTS", tmp_path)
    assert figure.command("made", lambda: [Figure("a", 2.5, target=2.0)], "made", []) == 0
    machine, (stored,) = figure.read("made", tmp_path)
    assert stored == Figure("a", 2.5, target=2.0)
    assert machine["cores"] >= 1
    assert "reached" in capsys.readouterr().out


def test_ratios_are_taken_inside_each_round():
    rounds = side_by_side.Rounds(["a", "b"])
    for slow in (1.0, 10.0, 100.0):  # whatever disturbs a round disturbs both
        rounds.add("a", 3 * slow, 0.0)
        rounds.add("b", slow, 0.0)
    assert rounds.ratio("a", "b") == 3.0


def test_methods_take_turns_and_the_first_turn_does_not_count():
    calls = []
    rounds = side_by_side.interleave({"a": (lambda: calls.append("a"), 1), "b": (lambda: calls.append("b"), 2)}, 2)
    assert calls == ["a", "b"] * 3
    assert len(rounds.seconds["a"]["cpu"]) == len(rounds.seconds["b"]["wall"]) == 2
