from __future__ import annotations

import html
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visioncore_engine.report import (
    INK,
    SERIES,
    drawing,
    escape,
    figure_html,
    figure_png,
    format_value,
    mapping_html,
    new_figure,
    numbers,
    table_html,
)
from visioncore_engine.report.logged import read_logged
from visioncore_engine.report.provenance import highlight_yaml

TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=30)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(text=TEXTS)
def test_highlighting_changes_no_text(text):
    assert html.unescape(re.sub(r"</?span[^>]*>", "", highlight_yaml(text))) == text


@pytest.mark.parametrize(
    ("line", "marked"),
    [
        ("seed: 7", '<span class="key">seed</span>: <span class="value">7</span>'),
        ("- name: adamw", '- <span class="key">name</span>: adamw'),
        (
            "lr: 1.0e-3  # why",
            '<span class="key">lr</span>: <span class="value">1.0e-3</span>  <span class="comment"># why</span>',
        ),
        ("a: 'x # y'", '<span class="key">a</span>: <span class="text">&#x27;x # y&#x27;</span>'),
        ("m1_a: u007", '<span class="key">m1_a</span>: u007'),
    ],
)
def test_yaml_is_marked_by_what_it_is(line, marked):
    assert highlight_yaml(line) == marked


@given(value=PLAIN)
def test_no_value_becomes_markup(value):
    tags = set(re.findall(r"<(/?\w+)", mapping_html(value)))
    ours = ("dl", "dt", "dd", "div", "table", "thead", "tbody", "tr", "th", "td")
    assert tags <= {*ours, *(f"/{tag}" for tag in ours)}


@given(text=TEXTS)
def test_escaped_text_is_the_text(text):
    assert html.unescape(escape(text)) == text
    assert not set(escape(text)) & set("<>\"'")


def test_numbers_are_aligned_and_absent_cells_do_not_hide_that():
    table = table_html(["name", "value"], [["a", 1.5], ["b", None], ["c", math.nan]])
    assert table.count("class=number") == 4
    assert "not scored" in table


@pytest.mark.parametrize(
    ("value", "text"), [(0.123456, "0.1235"), (3.0, "3"), (1e9, "1e+09"), (12, "12"), (True, "yes"), ("", "—")]
)
def test_values_are_written_for_readers(value, text):
    assert format_value(value) == text


def test_numbers_of_a_table_keep_holes_as_nan():
    rows = [{"a": "1.5", "b": "x"}, {"a": ""}, {}]
    np.testing.assert_array_equal(numbers(rows, "a"), [1.5, np.nan, np.nan])
    assert np.isnan(numbers(rows, "b")).all()


def a_figure(seed=0):
    figure = new_figure(300, 200)
    axes = figure.subplots()
    axes.plot([0, 1], [seed, 1], color=SERIES[0])
    axes.imshow(np.eye(3))
    axes.set_title("$x$ <i>")
    return figure


def test_colours_of_the_page_reach_its_figures():
    with drawing():
        svg = figure_html(a_figure(), 'a "line"')
    assert "var(--series-1)" in svg
    assert "var(--ink)" in svg
    assert INK not in svg
    assert 'aria-label="a &quot;line&quot;"' in svg


def test_ids_of_two_figures_never_meet():
    with drawing():
        ids = [set(re.findall(r'id="([^"]+)"', figure_html(a_figure(seed), ""))) for seed in (0, 1)]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_dollar_signs_are_no_formula():
    with drawing():
        assert "$x$ &lt;i&gt;" in figure_html(a_figure(), "")


def test_the_users_style_has_no_say():
    import matplotlib as mpl

    with drawing():
        plain = figure_html(a_figure(), "")
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 30}):
        with drawing():
            assert figure_html(a_figure(), "") == plain
        assert mpl.rcParams["font.size"] == 30


def test_a_picture_beside_the_page_is_a_png():
    assert figure_png(a_figure()).startswith(b"\x89PNG")


def test_logged_lines_that_a_crash_cut_are_counted_and_a_repeated_step_holds_its_last_value(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 2, "a": 1.0}\n{"step": 1, "a": 3.0, "b": NaN, "t": "noon"}\n\n{"step": 2, "a": 2.0}\n{"step": 3, "a'
    )
    logged = read_logged(tmp_path)
    assert (logged.curves["a"].steps, logged.curves["a"].values) == ([1, 2], [3.0, 2.0])
    assert set(logged.curves) == {"a"}
    assert (logged.damaged, logged.not_finite) == (1, 1)


def test_csv_stands_in_where_there_is_no_jsonl(tmp_path):
    assert read_logged(tmp_path).source == ""
    (tmp_path / "metrics.csv").write_text("step,a,b\n1,0.5,\n2,,x\n")
    logged = read_logged(tmp_path)
    assert logged.source == "metrics.csv"
    assert {name: curve.values for name, curve in logged.curves.items()} == {"a": [0.5]}
