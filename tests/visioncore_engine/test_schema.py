"""The JSON Schema over the installed plugins: valid by itself, and of one mind with the engine."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field

from visioncore_engine import discover, resolve
from visioncore_engine.config.document import parse_value
from visioncore_engine.config.node import plain
from visioncore_engine.config.schema import DIALECT, HASH, plugins_hash, schema
from visioncore_engine.errors import UserError
from visioncore_engine.options import LossOptions, Options


@pytest.fixture(scope="module")
def made(registry):
    return schema(registry)[0]


@pytest.fixture(scope="module")
def accepts(made):
    return Draft202012Validator(made).is_valid


def test_it_is_valid_2020_12_and_all_its_references_lead_somewhere(made):
    Draft202012Validator.check_schema(made)
    assert made["$schema"] == DIALECT
    text = json.dumps(made)
    for name in made["$defs"]:
        assert " " not in name
        assert json.dumps(f"#/$defs/{name}") in text
    references = {part.partition('"')[0] for part in text.split('"$ref": "#/$defs/')[1:]}
    assert references == set(made["$defs"])


def test_a_good_run_and_its_filled_form_are_accepted(accepts, good, registry, write):
    assert accepts(plain(parse_value(good, "")))
    assert accepts(resolve(write(run=good), registry=registry).dump())


ACCEPTED = [
    "{}",
    "{extends: base.yaml}",
    "{extends: [a.yaml, b.yaml]}",
    "{seed: null, model: null, callbacks: null}",
    "{seed: '${other.seed}', model: '${other}'}",
    "{optimizer: {lr: 1e-4}}",
    "{callbacks: {early_stopping: {patience: 3}, heartbeat: null, other: heartbeat}}",
    "{metrics: [bits, {name: correlation, id: c}]}",
    "{loss: 'fakes:poisson'}",
    "{loss: {name: 'fakes:poisson', weighting: units}}",
    "{sampler: {name: contrast_weighted, warmup: {schedule: ramp, steps: 3}}}",
    "{model: {name: encoder, core: [{name: conv3d, kernel: [1, 1]}]}}",
    "{regularizers: {a: {name: l1, strength: 1, match: ['a', 'b']}}}",
]

REFUSED = [
    "{seeed: 1}",
    "{seed: -1}",
    "{seed: 'many'}",
    "{loss: poison}",
    "{loss: {name: poison}}",
    "{loss: {name: poisson, wieghting: units}}",
    "{model: os.system}",
    "{sampler: {name: contrast_weighted, batch_size: 0}}",
    "{sampler: {name: contrast_weighted, low: 2}}",
    "{sampler: {name: contrast_weighted, warmup: {schedule: rmap}}}",
    "{model: {name: encoder, core: [{name: conv3d, chanels: [1]}]}}",
    "{model: {name: encoder, core: {a: {name: conv3d, channels: [0]}}}}",
    "{model: {name: encoder, core: conv3d}}",
    "{metrics: bits}",
    "{metrics: [1]}",
    "{regularizers: [l1]}",
    "{trainer: {gradient_clip_val: 1}}",
    "{trainer: {precision: half}}",
    "[]",
    "3",
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_what_an_editor_accepts(accepts, text):
    assert accepts(plain(parse_value(text, "")))


@pytest.mark.parametrize("text", REFUSED)
def test_what_an_editor_refuses(accepts, text):
    assert not accepts(plain(parse_value(text, "")))


def mutated(content, draw):
    """One value changed, or one key misspelt, anywhere in the run."""
    content = json.loads(json.dumps(content))
    places = []

    def walk(value):
        if isinstance(value, dict):
            places.extend((value, key) for key in value)
            for item in value.values():
                walk(item)

    walk(content)
    inside, key = draw.choice(places)
    # A block without a name is left to the engine, so that no mutant loses its name.
    if draw.random() < 0.4 and key != "name":
        inside[f"{key}x"] = inside.pop(key)
    elif isinstance(inside[key], dict) and "name" in inside[key] and draw.random() < 0.5:
        inside[key]["x"] = 1
    else:
        inside[key] = draw.choice([-1, 0, 3, 0.5, True, "words", [], [1], "poisson", "conv3d", 1e-9])
    return content


def test_300_mutants_get_the_verdict_of_the_engine(accepts, good, registry, write):
    """What the schema refuses, the engine refuses; what only the engine refuses, no schema of parts could say."""
    filled = resolve(write(run=good), registry=registry).dump()
    draw = random.Random(2026)
    only_engine, only_schema = [], []
    for _ in range(300):
        content = mutated(filled, draw)
        try:
            resolve(content, registry=registry)
        except UserError as error:
            if accepts(content):
                only_engine.append(str(error))
        else:
            if not accepts(content):
                only_schema.append(content)
    assert only_schema == []
    # Missing keys (the file may be an overlay), names that are missing, monitors, and rules of whole blocks.
    excused = (
        "is missing",
        "does not say which",
        "nothing logs",
        "must not be above",
        "did you mean 'name'",
        "an end:",
        "the lock cannot be read",
    )
    told = [message for message in only_engine if not any(words in message for words in excused)]
    assert told == []
    assert len(only_engine) < 60


def test_names_that_are_ambiguous_are_offered_with_their_plugin_only(fakes, registry):
    def lab(name):
        return fakes.entry_point(name, fakes.plugin({"loss": [fakes.component("same")]}), dist=fakes.distribution(name))

    made, problems = schema(discover(entry_points=[lab("one"), lab("two")]))
    assert problems == ()
    accepts = Draft202012Validator(made).is_valid
    assert accepts({"loss": "one:same"})
    assert accepts({"loss": {"name": "two:same"}})
    assert not accepts({"loss": "same"})


def test_components_whose_options_cannot_be_imported_are_left_out_and_told(registry):
    _, problems = schema(registry)
    told = "\n".join(map(str, problems))
    for name in ("loose", "named", "absent", "wrong_base"):
        assert f"'{name}'" in told or name.title() in told or "NoSuchOptions" in told
    assert len(problems) == 4


def test_another_plugin_gives_another_schema_and_hash(fakes, registry, made):
    other = discover(entry_points=[fakes.entry_point("lab", fakes.plugin({"loss": [fakes.component("brand_new")]}))])
    assert made[HASH] == plugins_hash(registry) != plugins_hash(other)
    assert "brand_new" in json.dumps(schema(other)[0])
    assert "brand_new" not in json.dumps(made)


def test_one_options_class_without_a_schema_costs_nobody_theirs(fakes, monkeypatch):
    class Odd(LossOptions):
        function: Callable[[], int] = Field(print, description="what JSON cannot say")

    monkeypatch.setattr(sys.modules[fakes.home], "Odd", Odd, raising=False)
    plugin = fakes.plugin({"loss": [fakes.component("odd", ":Odd"), fakes.component("plain")]})
    registry = discover(entry_points=[fakes.entry_point("lab", plugin)])
    made, problems = schema(registry)
    assert "plugin lab (fake_home): options of loss 'odd' have no JSON Schema" in str(problems[0])
    assert Draft202012Validator(made).is_valid({"loss": "plain"})
    assert not Draft202012Validator(made).is_valid({"loss": "odd"})


def test_options_named_like_words_of_the_schema_survive(fakes, monkeypatch):
    class Awkward(Options):
        title: str = Field("t", description="a title")
        required: int = Field(1, description="a number")
        default: int = Field(2, description="another")

    monkeypatch.setattr(sys.modules[fakes.home], "Awkward", Awkward, raising=False)
    plugin = fakes.plugin(
        {"readout": [fakes.component("awkward", ":Awkward")], "model": [fakes.component("m", ":ModelOptions")]}
    )
    made, _ = schema(discover(entry_points=[fakes.entry_point("lab", plugin)]))
    accepts = Draft202012Validator(made).is_valid
    assert accepts({"model": {"name": "m", "readout": {"name": "awkward", "title": "x", "required": 3, "default": 4}}})
    assert not accepts({"model": {"name": "m", "readout": {"name": "awkward", "required": "x"}}})
