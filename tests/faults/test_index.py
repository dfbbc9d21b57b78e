"""The tables of docs/reliability.md are true: every number stands there once, with tests that are there and carry it.

A test carries a number by its name: ``test_f07_killed…``, or ``[C03-text-for-number]`` behind it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from stock_road import FAILS, UNTRIED

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reliability.md"
CATALOGUE = {"F": 39, "C": 36, "P": 20, "D": 23, "K": 21}
DROPPED = {"P11", "P12", "P13", "K20"}  # as a whole; the page says why
HEADS = {
    5: ["id", "what goes wrong", "what is promised", "stock Lightning", "proved by"],
    4: ["id", "what goes wrong", "what is promised", "proved by"],
}


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def rows_of(text):
    """Rows of all tables of the page by their number."""
    lines = [cells(line) for line in text.splitlines() if line.startswith("| ")]
    rows = [row for row in lines if re.fullmatch(r"[A-Z]\d\d", row[0])]
    heads = [row for row in lines if row not in rows]
    assert all(row == HEADS[len(row)] for row in heads)
    assert len(heads) == len(CATALOGUE)
    assert all(len(row) == (5 if row[0].startswith("F") else 4) and all(row) for row in rows)
    numbers = [row[0] for row in rows]
    assert numbers == [f"{kind}{number:02d}" for kind, last in CATALOGUE.items() for number in range(1, last + 1)]
    return dict(zip(numbers, rows, strict=True))


@pytest.fixture(scope="module")
def rows():
    return rows_of(PAGE.read_text(encoding="utf-8"))


def collected():
    """What pytest collects, in a process of its own; one test asks for it, because it takes ten seconds."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def carriers_in(nodes):
    """Tests, ``file::function`` below tests/, by the numbers that they carry."""
    found = defaultdict(set)
    for node in nodes:
        path, _, name = node.removeprefix("tests/").partition("::")
        for number in re.findall(r"(?<![a-z0-9])[fcpdk]\d\d(?![a-z0-9])", name.lower()):
            found[number.upper()].add(f"{path}::{name.partition('[')[0]}")
    return found


def named_in(row):
    return re.findall(r"`([^`]+)`", row[-1])


def stale(rows, carriers):
    """What is wrong with the page, in words."""
    for number, row in rows.items():
        named, promise = named_in(row), row[2]
        if number in DROPPED:
            if named or not promise.startswith("Dropped: ") or carriers[number]:
                yield f"{number} is dropped: no test, and a reason"
        elif not named:
            yield f"{number} names no test"
        elif number.startswith("F") and not any(test.startswith("faults/") for test in named):
            yield f"{number} belongs to the matrix, which lies in tests/faults"
        yield from (
            f"{number} names {test}, which is not there or does not carry it"
            for test in named
            if test not in carriers[number]
        )


def test_every_number_has_its_tests_and_no_test_has_another(rows):
    carriers = carriers_in(collected())
    assert list(stale(rows, carriers)) == []
    assert sorted(number for number in carriers if number not in rows) == []


def test_what_stock_lightning_does_is_what_the_suite_expects(rows):
    faults = {number: row[3] for number, row in rows.items() if number.startswith("F")}
    assert faults == {number: UNTRIED.get(number) or FAILS.get(number, "passes") for number in faults}
    assert list(faults.values()).count("passes") == 8
    assert "It keeps 8 of the 38 promises" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("number", "change"),
    [
        ("C02", lambda row: [*row[:-1], "`faults/test_mistakes.py::test_c02_renamed`"]),
        ("C02", lambda row: [*row[:-1], "`faults/test_mistakes.py::test_f38_packages`"]),
        ("C02", lambda row: [*row[:-1], "none"]),
        ("F17", lambda row: [*row[:-1], "`clusters/test_slurm.py::test_f17`"]),
        ("K20", lambda row: [*row[:2], "refused", row[3]]),
    ],
    ids=["renamed", "of_another_number", "without", "outside_of_the_matrix", "dropped_without_a_reason"],
)
def test_a_stale_row_is_found(rows, number, change):
    carriers = defaultdict(set, {number: set(named_in(row)) for number, row in rows.items()})
    assert list(stale(rows, carriers)) == []
    assert {found.split()[0] for found in stale({**rows, number: change(rows[number])}, carriers)} == {number}


@pytest.mark.parametrize("lost", ["| C02 |", "| id | what goes wrong | what is promised | proved by |"])
def test_a_row_or_head_that_is_lost_is_found(lost):
    text = PAGE.read_text(encoding="utf-8")
    assert rows_of(text)
    with pytest.raises(AssertionError):
        rows_of("\n".join(line for line in text.splitlines() if not line.startswith(lost)))


def test_continuous_integration_leaves_out_of_make_test_only_what_it_runs_before():
    phases = re.findall(r"^phase \w+ (make .*?)(?:\s+#.*)?$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    left_out = [phase for phase in phases if "WITHOUT=" in phase]
    assert left_out == ["make test WITHOUT=tests/faults"]
    assert phases.index("make faults") < phases.index(left_out[0])
    assert "\t$(PYTEST) -n 2 tests/faults\n" in (ROOT / "Makefile").read_text()
