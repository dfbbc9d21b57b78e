"""Laying files over each other: one rule, from left to right, however the stack is cut into files."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visioncore_engine.config.compose import compose, merge
from visioncore_engine.config.document import parse_value
from visioncore_engine.config.node import Node, plain
from visioncore_engine.errors import ConfigError


def composed(*sources, sets=()):
    return without_null(plain(compose(sources, sets).root))


def without_null(value):
    """What the composition stands for: null is what is not written."""
    if isinstance(value, dict):
        return {key: without_null(item) for key, item in value.items() if item is not None}
    return value


def problems(*sources, sets=()):
    with pytest.raises(ConfigError) as caught:
        compose(sources, sets)
    return [str(problem) for problem in caught.value.problems]


# Lower file, upper file, result: the rule in examples.
RULE = {
    "scalars-replace": ("{a: 1}", "{a: 2}", "{a: 2}"),
    "mappings-merge": ("{a: {b: 1, c: 2}}", "{a: {c: 3, d: 4}}", "{a: {b: 1, c: 3, d: 4}}"),
    "lists-replace": ("{a: [1, 2]}", "{a: [3]}", "{a: [3]}"),
    "null-removes": ("{a: {b: 1, c: 2}}", "{a: {b: null}}", "{a: {c: 2}}"),
    "null-removes-a-block": ("{a: {b: 1}}", "{a: null}", "{}"),
    "value-after-null": ("{a: null}", "{a: {b: 1}}", "{a: {b: 1}}"),
    "another-name-replaces": ("{s: {name: x, p: 1}}", "{s: {name: y, q: 2}}", "{s: {name: y, q: 2}}"),
    "the-same-name-keeps": ("{s: {name: x, p: 1}}", "{s: {name: x, q: 2}}", "{s: {name: x, p: 1, q: 2}}"),
    "no-name-keeps": ("{s: {name: x, p: 1}}", "{s: {q: 2}}", "{s: {name: x, p: 1, q: 2}}"),
    "a-name-comes-later": ("{s: {p: 1}}", "{s: {name: x}}", "{s: {p: 1, name: x}}"),
    "the-same-word-keeps": ("{s: {name: x, p: 1}}", "{s: x}", "{s: {name: x, p: 1}}"),
    "another-word-replaces": ("{s: {name: x, p: 1}}", "{s: y}", "{s: {name: y}}"),
    "options-of-a-word": ("{s: x}", "{s: {p: 1}}", "{s: {name: x, p: 1}}"),
    "another-name-over-a-word": ("{s: x}", "{s: {name: y, p: 1}}", "{s: {name: y, p: 1}}"),
    "a-number-becomes-a-mapping": ("{s: 0.5}", "{s: {schedule: ramp}}", "{s: {schedule: ramp}}"),
    "a-mapping-becomes-a-number": ("{s: {schedule: ramp}}", "{s: 0.5}", "{s: 0.5}"),
    "into-a-list-by-name": (
        "{c: [x, {name: y, p: 1}]}",
        "{c: {y: {q: 2}}}",
        "{c: {x: {name: x}, y: {name: y, p: 1, q: 2}}}",
    ),
    "into-a-list-by-id": (
        "{c: [{name: x, id: a}, {name: x, id: b}]}",
        "{c: {b: {p: 1}}}",
        "{c: {a: {name: x}, b: {name: x, p: 1}}}",
    ),
    "a-block-more": ("{c: [x]}", "{c: {y: {name: z}}}", "{c: {x: {name: x}, y: {name: z}}}"),
    "a-block-less": ("{c: [x, y]}", "{c: {x: null}}", "{c: {y: {name: y}}}"),
    "a-list-over-a-mapping": ("{c: {x: {name: x}}}", "{c: [y]}", "{c: [y]}"),
    "a-mapping-over-a-list-of-numbers": ("{c: [1, 2]}", "{c: {x: 1}}", "{c: {x: 1}}"),
    "run-is-no-block": ("{run: {name: a, dir: d}}", "{run: {name: b}}", "{run: {name: b, dir: d}}"),
}


@pytest.mark.parametrize(("lower", "upper", "result"), RULE.values(), ids=RULE)
def test_the_rule(write, lower, upper, result):
    write(lower=lower, upper=upper)
    assert composed("lower.yaml", "upper.yaml") == plain(parse_value(result, ""))


@pytest.mark.parametrize(("lower", "upper", "result"), RULE.values(), ids=RULE)
def test_set_follows_the_same_rule(write, lower, upper, result):
    write(lower=lower)
    sets = [f"{key}={json.dumps(value)}" for key, value in plain(parse_value(upper, "")).items()]
    assert composed("lower.yaml", sets=sets) == plain(parse_value(result, ""))


def test_set_reaches_into_a_list_by_id(write):
    write(run="callbacks: [heartbeat, {name: stop, patience: 3}]\n")
    sets = ["callbacks.stop.patience=5", "callbacks.heartbeat=null", "optimizer.lr=1e-4"]
    expected = {"callbacks": {"stop": {"name": "stop", "patience": 5}}, "optimizer": {"lr": 0.0001}}
    assert composed("run.yaml", sets=sets) == expected


def test_a_replaced_block_keeps_its_place_in_the_order(write):
    write(lower="core: {first: {name: a}, second: {name: b}}", upper="core: {first: {name: c}}")
    assert list(composed("lower.yaml", "upper.yaml")["core"]) == ["first", "second"]


def test_files_are_found_beside_the_file_that_extends_them(write, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "top.yaml").write_text("extends: [../base.yaml, near.yaml]\nc: 3\n")
    (tmp_path / "deep" / "near.yaml").write_text("b: 2\n")
    write(base="a: 1\nb: 1\nc: 1\n")
    found = compose(["deep/top.yaml"])
    assert plain(found.root) == {"a": 1, "b": 2, "c": 3}
    assert found.files == ("base.yaml", "deep/near.yaml", "deep/top.yaml")


def test_c27_a_loop_is_told_with_its_chain(write):
    write(a="extends: b.yaml\n", b="\nextends: c.yaml\n", c="extends: ./a.yaml\n")
    assert problems("a.yaml") == [
        "c.yaml:1: extends: it leads back to the file itself: a.yaml -> b.yaml -> c.yaml -> a.yaml"
    ]


def test_a_file_may_be_extended_twice_without_being_a_loop(write):
    write(a="extends: [b.yaml, c.yaml]\n", b="extends: d.yaml\nx: 1\n", c="extends: d.yaml\n", d="x: 0\ny: 2\n")
    assert composed("a.yaml") == {"x": 0, "y": 2}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("extends: bse.yaml\n", "run.yaml:1: extends: no such file (got bse.yaml); did you mean 'base.yaml'?"),
        ("a: 1\nextends: [base.yaml, 3]\n", "run.yaml:2: extends: expected a file name or a list of file names"),
        ("extends: {a: b}\n", "run.yaml:1: extends: expected a file name or a list of file names"),
        ("extends: https://host/x.yaml\n", "run.yaml:1: extends: only local files are read"),
        ("extends: .\n", "run.yaml:1: extends: is a folder, not a run file"),
    ],
)
def test_what_cannot_be_extended(write, text, expected):
    write(run=text, base="a: 1\n")
    assert expected in problems("run.yaml")[0]


def test_mistakes_of_all_files_are_told_together(write):
    write(run="extends: [base.yaml, none.yaml, other.yaml]\n", base="\tb: 1\n", other="a: 1\na: 2\n")
    told = problems("run.yaml", "missing.yaml", sets=["nonsense", "a.=1", "a=", "b=[1", "extends=x.yaml"])
    places = ["base.yaml:1", "run.yaml:1", "other.yaml:2", "missing.yaml", "--set", "--set", "--set", "--set", "--set"]
    assert sorted(line.partition(": ")[0] for line in told) == sorted(places)


def test_origins_are_kept_in_order(write):
    write(base="a: {b: 1}\n", over="\na: {b: 2}\n")
    node = compose(["base.yaml", "over.yaml"], ["a.b=3"]).root.value["a"].value["b"]
    assert [(origin.where, origin.text) for origin in node.history] == [
        ("base.yaml:1", "1"),
        ("over.yaml:2", "2"),
        ("--set", "3"),
    ]


def test_two_blocks_with_one_id_cannot_be_merged_into(write):
    write(run="c: [x, {name: x, p: 1}]\n")
    assert "two blocks have the id 'x'" in problems("run.yaml", sets=["c.x.p=2"])[0]


def test_no_source_at_all():
    assert problems() == ["no run file was given"]


# ---------------------------------------------------------------------------------------------------------------
# Laws

words = st.sampled_from("abcd")
layers = st.dictionaries(
    words,
    st.recursive(
        st.none() | st.integers(0, 3) | words | st.lists(words, max_size=3, unique=True),
        lambda inner: (
            st.dictionaries(words | st.just("name"), inner, max_size=3)
            | st.fixed_dictionaries({"name": words}, optional={"a": inner, "b": inner})
            | st.lists(
                st.fixed_dictionaries({"name": words}, optional={"a": inner}),
                max_size=3,
                unique_by=lambda block: block["name"],
            )
        ),
        max_leaves=6,
    ),
    max_size=4,
)
fast = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(fast, max_examples=50)
@given(st.lists(layers, min_size=3, max_size=3))
def test_it_makes_no_difference_how_a_stack_is_cut_into_files(write, stack):
    a, b, c = (json.dumps(layer) for layer in stack)
    write(
        a=a, b=b, c=c, ab="extends: [a.yaml, b.yaml]", bc="extends: [b.yaml, c.yaml]", abc="extends: [ab.yaml, c.yaml]"
    )
    expected = composed("a.yaml", "b.yaml", "c.yaml")
    assert composed("ab.yaml", "c.yaml") == expected
    assert composed("a.yaml", "bc.yaml") == expected
    assert composed("abc.yaml") == expected


@fast
@given(layers, layers)
def test_merging_changes_neither_side(lower, upper):
    below, above = (parse_value(json.dumps(layer), "") for layer in (lower, upper))
    merge(below, above)
    assert plain(below) == lower
    assert plain(above) == upper


@fast
@given(layers)
def test_laying_a_file_over_itself_changes_nothing(layer):
    node = parse_value(json.dumps(layer), "")
    assert without_null(plain(merge(node, node))) == without_null(layer)


@fast
@given(layers)
def test_nothing_over_anything_is_that_thing(layer):
    node = parse_value(json.dumps(layer), "")
    empty = Node({}, "")
    assert plain(merge(node, empty)) == layer
    assert plain(merge(empty, node)) == layer
