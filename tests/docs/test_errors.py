"""Every entry of the catalogue of errors is what is really said, and no class of errors is missing."""

from __future__ import annotations

import re

import pytest
from catalogue import ENTRIES, PAGE, SECTIONS, block, run

from visioncore_engine import errors

CLASSES = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.EngineError)]
SLOW = (errors.Hung,)


@pytest.mark.parametrize(
    "entry",
    [pytest.param(entry, id=entry.id, marks=[pytest.mark.slow] * (entry.error in SLOW)) for entry in ENTRIES],
)
def test_an_entry_is_what_is_said(entry):
    said = run(entry)
    assert said.code == entry.error.exit_code, said
    assert said.text.startswith(f"{entry.error.label}: ") or entry.error is errors.EngineError
    assert block(entry, said) in PAGE.read_text(encoding="utf-8"), "run `make reference`"


def test_no_class_and_no_exit_code_is_missing():
    told = {entry.error for entry in ENTRIES}
    assert set(CLASSES) - told == {errors.UserError}  # the base of those for which a user can do something
    assert told == set(SECTIONS)
    text = PAGE.read_text(encoding="utf-8")
    assert [error.__name__ for error in told if f"`{error.__name__}`, exit code {error.exit_code}." not in text] == []
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert {error.exit_code for error in CLASSES} == codes - {0}


def test_the_page_has_nothing_else():
    text = PAGE.read_text(encoding="utf-8")
    assert [line[4:] for line in text.splitlines() if line.startswith("### ")] == [
        entry.title for error in SECTIONS for entry in ENTRIES if entry.error is error
    ]
