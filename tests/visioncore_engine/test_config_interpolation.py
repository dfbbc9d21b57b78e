"""References between values of one run: typed where they stand alone, and never to anything outside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visioncore_engine.config.compose import compose
from visioncore_engine.config.document import parse_value
from visioncore_engine.config.interpolation import escape, interpolate
from visioncore_engine.config.node import Node, plain
from visioncore_engine.errors import ConfigError


def interpolated(text):
    return plain(interpolate(parse_value(text, "run.yaml:1")))


def problem(text):
    with pytest.raises(ConfigError) as caught:
        interpolated(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("{a: 3, x: '${a}'}", "x", 3),
        ("{a: 1e-3, x: '${a}'}", "x", 0.001),
        ("{a: true, x: '${a}'}", "x", True),
        ("{a: [1, 2], x: '${a}'}", "x", [1, 2]),
        ("{a: {b: {c: 1}}, x: '${a.b}'}", "x", {"c": 1}),
        ("{a: {b: {c: 1}}, x: '${a.b.c}'}", "x", 1),
        ("{a: 3, x: 'n${a}-${a}'}", "x", "n3-3"),
        ("{a: true, x: '${a}!'}", "x", "true!"),
        ("{a: m1, x: 'runs/${a}'}", "x", "runs/m1"),
        ("{a: '${b}', b: '${c}', c: 5, x: '${a}'}", "x", 5),
        ("{a: '1${b}', b: 2, x: '${a}'}", "x", "12"),
        ("{c: [p, {name: q, n: 4}], x: '${c.q.n}'}", "x", 4),
        ("{c: [{name: q, id: z, n: 4}], x: '${c.z.n}'}", "x", 4),
        ("{x: '$${a}'}", "x", "${a}"),
        ("{a: 1, x: '$${a} ${a}'}", "x", "${a} 1"),
        ("{x: '$a and 5$'}", "x", "$a and 5$"),
    ],
)
def test_references_are_replaced(text, key, value):
    found = interpolated(text)[key]
    assert found == value
    assert type(found) is type(value)


def test_c26_what_cannot_be_referred_to():
    assert "the interpolation ${MISSING} has no value" in problem("{x: '${MISSING}'}")
    assert "environment variables are not read" in problem("{x: '${HOME}'}")
    assert "is not allowed: only keys of this run" in problem("{x: '${oc.env:HOME}'}")
    assert "is not allowed" in problem("{x: '${}'}")
    assert "is not allowed" in problem("{x: '${a b}'}")
    assert "did you mean 'batch'?" in problem("{batch: 3, x: '${bach}'}")
    assert "has no value" in problem("{a: null, x: '${a}'}")
    assert "has no value" in problem("{a: 3, x: '${a.b}'}")
    assert "'${' is not closed" in problem("{x: 'a${b'}")
    assert "is not a single value" in problem("{a: [1], x: 'n${a}'}")


@pytest.mark.parametrize(
    "text", ["{x: '${x}'}", "{a: '${b}', b: '${a}'}", "{a: {b: '${a}'}}", "{a: 'n${b}', b: '${a}'}"]
)
def test_loops_are_told_with_their_chain(text):
    assert "leads back to itself: " in problem(text)
    assert " -> " in problem(text)


def test_all_mistakes_are_told_at_once_with_their_lines(write):
    write(run="a: ${x}\nb:\n  - ${y}\n")
    with pytest.raises(ConfigError) as caught:
        interpolate(compose(["run.yaml"]).root)
    assert [found.where for found in caught.value.problems] == ["run.yaml:1", "run.yaml:3"]


def test_a_reference_sees_what_was_laid_over(write):
    write(base="a: 1\nx: ${a}\n", over="a: 2\n")
    assert plain(interpolate(compose(["base.yaml", "over.yaml"], ["a=3"]).root))["x"] == 3


@given(st.text("$ {}ab", max_size=12))
def test_an_escaped_text_is_read_back_as_it_was(text):
    assert plain(interpolate(Node({"x": Node(escape(text), "")}, ""))) == {"x": text}
