"""Laws of models, data and scores: small good components pass, and faulty ones fail where they are faulty."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Literal

import kit_modules_plugin
import numpy as np
import pytest
import torch
from pydantic import Field

from visioncore_engine import Component, discover, hookimpl
from visioncore_engine.contracts import LossFacts
from visioncore_engine.options import Options
from visioncore_engine.testing import Case, Check, checks_of, parametrize_with_checks
from visioncore_engine.testing.observed import difference, expect_same
from visioncore_engine.testing.saved import moved_numbers
from visioncore_engine.testing.scenes.flow import groups_of
from visioncore_engine.testing.scenes.loss import LossScene
from visioncore_engine.testing.settings import settings

POINT = SimpleNamespace(name="kit_modules", value="kit_modules_plugin", dist=None, load=lambda: kit_modules_plugin)
REGISTRY = discover(entry_points=[POINT])
ROWS = (  # kind, a good component, a faulty one, and the checks that find it
    ("stage", "window", "foreseeing", {"time_is_causal"}),
    ("modulator", "gain", "averaged", {"examples_do_not_leak"}),
    ("readout", "flat", "rectified", {"bias_is_added_last"}),
    ("adapter", "crop", "constant", {"gradients_reach_everything"}),
    ("loss", "squared", "mean", {"cut_of_the_batch_does_not_matter"}),
    ("metric", "squares", "optimistic", {"nothing_valid_is_nan"}),
    ("transform", "scaled", "careless", {"batch_is_left_alone"}),
    ("evaluator", "counted", "batches", {"cut_of_the_data_does_not_matter"}),
)


@parametrize_with_checks([Case(kind, good, registry=REGISTRY) for kind, good, *_ in ROWS])
def test_good_components_pass(case, check):
    check(case)


@pytest.mark.parametrize(("kind", "name", "expected"), [(kind, bad, checks) for kind, _, bad, checks in ROWS])
def test_faulty_components_fail_where_they_are_faulty(kind, name, expected):
    case = Case(kind, name, registry=REGISTRY)
    failed = set()
    for check in checks_of(kind):
        try:
            check(case)
        except AssertionError as error:
            failed.add(check.name if str(error) else f"{check} says nothing")
    assert expected <= failed


def test_a_component_that_knows_one_name_of_a_task_gets_groups_that_have_it():
    scene = LossScene(LossFacts(groups_of("rates", task="y")))
    case = Case("loss", "squared", registry=REGISTRY, scene=lambda _case: scene)
    assert {next(iter(group.targets)) for group in scene.groups} == {"y"}
    for check in checks_of("loss"):
        if not check.fresh_process:
            check(case)


class WordOptions(Options):
    word: Literal["a", "b", "bad"] = Field("a", description="a word")
    number: float = Field(1.0, description="a number")


class Wordy:
    training_only = False

    def __init__(self, options, facts):
        self.word = options.word

    def __call__(self, batch, key):
        return batch


def wordy():
    @hookimpl
    def visioncore_transforms():
        where = f"{__name__}:"
        yield Component(name="wordy", summary="a word", build=f"{where}Wordy", options=f"{where}WordOptions")

    home = SimpleNamespace(visioncore_transforms=visioncore_transforms, __name__="wordy_home")
    point = SimpleNamespace(name="wordy", value="wordy_home", dist=None, load=lambda: home)
    return Case("transform", "wordy", registry=discover(entry_points=[point]))


def test_a_law_is_tried_with_every_word_and_its_failure_names_the_word(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, __name__, SimpleNamespace(Wordy=Wordy, WordOptions=WordOptions))
    case = wordy()
    assert [words for words, _ in settings(case)] == ["", "word = 'b'", "word = 'bad'"]

    def law(case):
        assert case.build().word != "bad", "it says so"

    with pytest.raises(AssertionError, match="with word = 'bad': it says so"):
        Check("law", "A law.", law)(case)
    Check("law", "A law.", law, one_setting="it is about the case as it stands")(case)


def test_what_a_case_sets_apart_is_no_setting_and_must_be_an_option(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, __name__, SimpleNamespace(Wordy=Wordy, WordOptions=WordOptions))
    case = wordy()
    assert [words for words, _ in settings(replace(case, apart={"word": "it is another component"}))] == [""]
    (acts,) = [check for check in checks_of("transform") if check.name == "every_option_acts"]
    with pytest.raises(AssertionError, match="options that are not there: wrod"):
        acts(replace(case, apart={"wrod": "misspelt"}))


def test_where_data_lie_is_no_setting(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, __name__, SimpleNamespace(Wordy=Wordy, WordOptions=WordOptions))
    scene = SimpleNamespace(altered={"word": "b"})
    assert [words for words, _ in settings(replace(wordy(), scene=lambda _case: scene))] == [""]


def test_what_breaks_in_a_setting_names_it_whatever_it_raises(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, __name__, SimpleNamespace(Wordy=Wordy, WordOptions=WordOptions))

    def law(case):
        assert 1 / (case.build().word != "bad")

    with pytest.raises(ZeroDivisionError) as error:
        Check("law", "A law.", law)(wordy())
    assert error.value.__notes__ == ["with word = 'bad'"]


def test_what_differs_is_said_with_its_place():
    one = {"a": [1, np.array([1.0, np.nan])], "b": torch.tensor([1, 2])}
    assert difference(one, {"a": [1, np.array([1.0, np.nan])], "b": torch.tensor([1, 2])}) is None
    assert difference(one, {**one, "b": torch.tensor([1, 3])}) == "['b']: 1 of 2 values differ"
    assert "float64 (2,) and float32 (2,)" in difference(one, {**one, "a": [1, np.ones(2, dtype=np.float32)]})
    assert difference({"a": 1}, {"a": 1.0}) == "['a']: 1 and 1.0"
    assert difference({"a": 1}, {"a": 1, "c": 2}) == "['c'] is only in one of them"
    assert difference(1.0, 1.0 + 1e-9, rtol=1e-6) is None
    assert difference(1.0, 1.0 + 1e-9) is not None
    with pytest.raises(AssertionError, match="the law: the value: 1 and 2"):
        expect_same(1, 2, "the law")


def test_numbers_of_a_state_are_moved_one_by_one():
    state = {"a": [1.0, 2], "b": {"c": torch.tensor([1.0]), "d": "word"}}
    assert [(place, difference(state, moved) is None) for place, moved in moved_numbers(state)] == [
        ("['a'][0]", False),
        ("['b']['c']", False),
    ]
    assert state["a"] == [1.0, 2]
