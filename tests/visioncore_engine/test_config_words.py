"""Types and values in plain words."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from visioncore_engine.config.words import allows_none, describe, given, hint, models_in, step_into
from visioncore_engine.options import OptimizerOptions, ParameterGroupOptions, Patterns
from visioncore_engine.schedule import Schedule, Scheduled

Positive = Annotated[int, Field(ge=1)]

WORDS = [
    (int, "an integer"),
    (bool, "true or false"),
    (str, "text"),
    (float | None, "a number or null"),
    (Positive, "an integer >= 1"),
    (Annotated[float, Field(gt=0)], "a number > 0"),
    (Annotated[float, Field(lt=0.5)], "a number < 0.5"),
    (Annotated[float, Field(le=3)], "a number <= 3"),
    (Annotated[float, Field(ge=0, lt=1)], "a number in [0, 1)"),
    (Annotated[float, Field(gt=-1, le=1)], "a number in (-1, 1]"),
    (Annotated[int, Field(multiple_of=8)], "an integer, a multiple of 8"),
    (Annotated[int, Field(ge=8, multiple_of=8)], "an integer >= 8, a multiple of 8"),
    (Annotated[str, Field(pattern="^a")], "text that matches ^a"),
    (Annotated[str, Field(min_length=1, max_length=3)], "text (at least 1 long, at most 3 long)"),
    (Literal["a", "b"], "one of 'a', 'b'"),
    (Literal["auto"] | Positive, "'auto' or an integer >= 1"),
    (Literal[1, True], "one of 1, true"),
    (tuple[int, ...], "a list of integers"),
    (tuple[Positive, ...], "a list of integers >= 1"),
    (tuple[int, int], "a list of 2 integers"),
    (tuple[int, str], "a list of 2 (an integer, text)"),
    (list[tuple[int, int]], "a list of lists of 2 integers"),
    (tuple[bool, ...], "a list (each true or false)"),
    (dict[str, float], "a mapping (each value a number)"),
    (ParameterGroupOptions, "a mapping with the keys match, lr_scale, weight_decay"),
    (Patterns, "text or a list of texts"),
    (Any, "anything"),
    (complex, "complex"),
]


def test_every_member_of_a_union_is_entered():
    annotation = tuple[int, int] | tuple[tuple[int, int], ...]
    assert describe(step_into(annotation, 0)) == "an integer or a list of 2 integers"
    assert describe(step_into(step_into(annotation, 1), 0)) == "an integer"
    assert step_into(annotation, "x") is None


@pytest.mark.parametrize(("annotation", "words"), WORDS, ids=[words for _, words in WORDS])
def test_what_is_allowed(annotation, words):
    assert describe(annotation) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (3, "3"),
        (0.5, "0.5"),
        (float("inf"), "infinity"),
        ("a", "text 'a'"),
        ("a" * 99, f"text '{'a' * 60}…'"),
        ([1], "a list"),
        ({}, "a mapping"),
    ],
)
def test_what_was_given(value, words):
    assert given(value) == words


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (bool, "Yes", "write true; yes, no, on and off are text here"),
        (bool, "off", "write false; yes, no, on and off are text here"),
        (bool, "perhaps", ""),
        (int, "1_000", "write 1000, without quotes"),
        (float, "1e3", "write 1e3, without quotes"),
        (float, "12:30", "times are not converted; write one number"),
        (float, "fast", ""),
        (float, float("nan"), "it must be finite"),
        (int, 3.0, "write 3"),
        (int, 3.5, ""),
        (str, 12, "quote it: '12'"),
        (str, False, "quote it: 'false'"),
        (dict[str, int], [1], "write a mapping: {…}"),
        (tuple[int, ...], 1, "write a list: […]"),
        (tuple[int, ...], None, ""),
    ],
)
def test_what_was_meant(annotation, value, words):
    assert hint(annotation, value) == words


def test_stepping_into_a_value():
    assert describe(step_into(OptimizerOptions, "lr")) == "a number > 0"
    groups = step_into(OptimizerOptions, "groups")
    assert models_in(step_into(groups, "any name")) == [ParameterGroupOptions]
    assert describe(step_into(step_into(groups, "any"), "lr_scale")) == "a number >= 0"
    assert step_into(tuple[int, str], 1) is str
    assert step_into(tuple[int, str], 2) is None
    assert step_into(tuple[int, ...] | None, 7) is int
    assert step_into(OptimizerOptions, "no_such_key") is None
    assert models_in(Scheduled) == [Schedule]


def test_what_may_be_null():
    assert allows_none(int | None)
    assert allows_none(Annotated[int | None, Field(ge=1)])
    assert not allows_none(int)
    assert not allows_none(Scheduled)
