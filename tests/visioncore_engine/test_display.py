from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from visioncore_engine.display import format_scores
from visioncore_engine.listing import format_table


@given(num_columns=st.integers(1, 30), sizes=st.lists(st.integers(1, 12), min_size=30, max_size=30))
def test_a_table_fits_a_terminal_and_loses_no_cell(num_columns, sizes):
    header = [f"{place:02d}".ljust(sizes[place], "x") for place in range(num_columns)]
    rows = [[f"r{row}c{place}" for place in range(num_columns)] for row in range(3)]
    text = format_table(header, rows)
    assert max(map(len, text.splitlines())) <= 80
    words = text.split()
    assert set(header) <= set(words)
    assert {cell for row in rows for cell in row} <= set(words)


def test_numbers_stand_right_and_nothing_is_a_dash():
    lines = format_table(("name", "value"), [["a", 1.23456], ["b", 100], ["c", None]]).splitlines()
    assert lines[2:] == ["a     1.235", "b       100", "c         -"]


def test_scores_of_splits_stand_side_by_side_and_groups_below():
    text = format_scores(
        {"validation": {"bits": 1.5, "bits/m1": 2.0, "n": 3.0}, "test": {"bits": 1.25, "bits/m1": 1.0}}
    )
    assert text.splitlines()[0].split() == ["score", "validation", "test"]
    assert ["bits", "1.5", "1.25"] in [line.split() for line in text.splitlines()]
    assert ["n", "3", "-"] in [line.split() for line in text.splitlines()]
    assert ["m1", "2"] in [line.split() for line in text.splitlines()]
