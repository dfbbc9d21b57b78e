"""Strict YAML: what is read means what it looks like, and every mistake has its line."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visioncore_engine.config.document import parse_value, read
from visioncore_engine.config.node import plain
from visioncore_engine.errors import ConfigError

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)

# Content of a file (text or bytes), and what the message says behind the name of the file.
MISTAKES = {
    "C01-duplicate-key": ("a: 1\nb: 2\na: 3\n", ":3: duplicate key 'a', written at lines 1 and 3"),
    "C01-in-flow-style": ("a: {b: 1, b: 2}\n", ":1: duplicate key 'b', written at lines 1 and 1"),
    "C08-octal-looking": ("seed: 010\n", ":1: an octal-looking number (got 010); write 10"),
    "C08-only-digits": ("subject: 007\n", ":1: an octal-looking number (got 007); write 7"),
    "C14-empty": ("", ": the file is empty"),
    "C14-only-comments": ("# nothing\n\n", ": the file is empty"),
    "C14-null": ("~\n", ": the file is empty"),
    "C15-list": ("- a\n- b\n", ":1: the top level must be a mapping of keys to values (got a list)"),
    "C15-scalar": ("\nhello\n", ":2: the top level must be a mapping of keys to values (got the value 'hello')"),
    "C16-two-documents": ("a: 1\n---\nb: 2\n", ":2: a second document begins here"),
    "C17-tab": ("a:\n\tb: 1\n", ":2: a tab is used for indentation"),
    "C17-tab-below": ("a:\n  b: 1\n\tc: 2\n", ":3: a tab is used for indentation"),
    "C18-latin-1": (b"name: caf\xe9\n", ": not UTF-8 text at byte 9"),
    "C18-utf-16": ("a: 1\n".encode("utf-16"), ": not UTF-8 text at byte 0"),
    "C18-nul": ("a: 1\nb: \x00\n", ":2: the character U+0000 is not allowed"),
    "C18-escape": ("a: \x1b[31m\n", ":1: the character U+001B is not allowed"),
    "C18-not-a-character": ("a: \ufffe\n", ":1: a character is not allowed"),
    "C19-python-tag": ('a: 1\nb: !!python/object/apply:os.system ["true"]\n', ":2: tags are not allowed"),
    "C19-python-name": ("b: !!python/name:os.system\n", ":1: tags are not allowed"),
    "C19-harmless-tag": ("b: !!str 3\n", ":1: tags are not allowed"),
    "C19-own-tag": ("b: !include other.yaml\n", ":1: tags are not allowed"),
    "C20-alias-bomb": (BOMB, ":5: too many YAML aliases"),
    "C21-recursive-alias": ("a: &a [1, *a]\n", ":1: the alias *a contains itself"),
    "C21-recursive-mapping": ("a: &a\n  b: *a\n", ":2: the alias *a contains itself"),
    "unknown-alias": ("a: *nowhere\n", ":1: there is no anchor &nowhere above"),
    "C22-deep-flow": ("a: " + "[" * 2000 + "]" * 2000 + "\n", ":1: nested deeper than 50"),
    "C22-deep-mapping": ("".join(f"{' ' * n}a:\n" for n in range(60)), ":50: nested deeper than 50"),
    "C23-integer-key": ("a: 1\n1: a\n", ":2: keys must be text (got 1); quote it"),
    "C23-boolean-key": ("true: a\n", ":1: keys must be text (got true); quote it"),
    "C23-null-key": ("~: a\n", ":1: keys must be text (got none)"),
    "C23-list-key": ("? [a]\n: b\n", ":1: keys must be text (got a block)"),
    "merge-key": ("a: &a {b: 1}\nc: {<<: *a}\n", ":2: merge keys (<<) are not allowed"),
    "unclosed": ("a: [1, 2\n", ":2: this is not YAML"),
    "colon-in-value": ("a: b: c\n", ":1: this is not YAML: mapping values are not allowed here"),
    "surrogate": ('a: "\\ud800"\n', ":1: half of a surrogate pair is not a character"),
}


@pytest.mark.parametrize(("content", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_line(write, content, expected):
    path = write(run=content)
    with pytest.raises(ConfigError) as caught:
        read(Path(path), path)
    assert f"config error: {path}{expected}" in str(caught.value)


def test_every_mistake_of_a_file_is_told_at_once(write):
    path = write(run="a: 1\na: 2\nb: !x 3\nc: 010\n2: d\n")
    with pytest.raises(ConfigError) as caught:
        read(Path(path), path)
    assert [problem.where for problem in caught.value.problems] == [
        "run.yaml:2",
        "run.yaml:3",
        "run.yaml:4",
        "run.yaml:5",
    ]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read(tmp_path / "none.yaml", "none.yaml")


# What stands in a file, and what it means.
MEANINGS = {
    "C02-exponent": ("1e-3", 0.001),
    "exponent-capital": ("2E5", 200000.0),
    "float-without-zero": (".5", 0.5),
    "float-without-digits": ("5.", 5.0),
    "negative": ("-7", -7),
    "zero": ("0", 0),
    "signed": ("+3", 3),
    "true": ("true", True),
    "false": ("false", False),
    "null": ("null", None),
    "tilde": ("~", None),
    "C07-no": ("no", "no"),
    "C07-on": ("on", "on"),
    "C07-Yes": ("Yes", "Yes"),
    "capital-true": ("True", "True"),
    "C09-time": ("1:30:00", "1:30:00"),
    "C10-date": ("2026-01-01", "2026-01-01"),
    "underscores": ("1_000", "1_000"),
    "hexadecimal": ("0x10", "0x10"),
    "new-octal": ("0o10", "0o10"),
    "quoted-number": ("'3'", "3"),
    "quoted-octal": ("'010'", "010"),
    "quoted-null": ('"null"', "null"),
    "bare-nan": ("nan", "nan"),
    "version": ("1.2.3", "1.2.3"),
    "literal": ("|\n  a\n  b\n", "a\nb\n"),
    "folded": (">-\n  a\n  b\n", "a b"),
    "flow": ("[1, a, {b: 2.5}]", [1, "a", {"b": 2.5}]),
    "alias": ("[&x {a: 1}, *x]", [{"a": 1}, {"a": 1}]),
}


@pytest.mark.parametrize(("text", "value"), MEANINGS.values(), ids=MEANINGS)
def test_scalars_mean_what_they_look_like(text, value):
    found = plain(parse_value(text, "here"))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("text", "sign"), [(".inf", 1), ("+.inf", 1), ("-.inf", -1)])
def test_infinity_is_a_number_for_someone_else_to_refuse(text, sign):
    assert plain(parse_value(text, "here")) == sign * math.inf
    assert math.isnan(plain(parse_value(".nan", "here")))


def test_a_bom_and_other_scripts_are_fine(write):
    path = write(run=b"\xef\xbb\xbfname: \xce\xb1\xce\xb2\nmaus: \xf0\x9f\x90\xad\n")
    assert plain(read(Path(path), path)) == {"name": "αβ", "maus": "🐭"}


def test_values_keep_the_line_of_their_key(write):
    path = write(run="a: 1\nb:\n  c: [1,\n      2]\n\n  d:\n    - x\n    - y\n")
    root = read(Path(path), path)
    inner = root.value["b"]
    places = [root.value["a"], inner, inner.value["c"], inner.value["c"].value[1], *inner.value["d"].value]
    assert [node.where for node in places] == [f"run.yaml:{line}" for line in (1, 2, 3, 4, 7, 8)]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    # What JSON escapes is in the strategy, what YAML forbids even in quotes is not.
    | st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="\ufeff"), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc_", max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_json_is_read_as_what_it_says(value):
    assert plain(parse_value(json.dumps(value, ensure_ascii=False), "here")) == value
