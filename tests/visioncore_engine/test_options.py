"""Options are strict and never change; choices know what was selected; slots are found."""

from __future__ import annotations

import json
import math
from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from visioncore_engine import Component, choose
from visioncore_engine.component import KINDS, resolve_address
from visioncore_engine.options import (
    Choice,
    LossOptions,
    OptimizerOptions,
    Options,
    Patterns,
    RegularizerOptions,
    SamplerOptions,
    Slot,
    slots,
)


class Some(Options):
    count: int = Field(1, ge=1, description="how many")
    rate: float = Field(0.5, description="rate")
    size: tuple[int, int] = Field((1, 2), description="size")
    match: Patterns = Field((), description="patterns")


LAX = [
    {"count": "3"}, {"count": True}, {"count": 1.0}, {"rate": math.nan}, {"rate": math.inf}, {"rate": "0.5"},
    {"rate": False}, {"size": [1]}, {"size": [1, "2"]}, {"match": 3}, {"match": [3]}, {"other": 1},
]  # fmt: skip


@pytest.mark.parametrize("content", LAX, ids=map(str, LAX))
def test_lax_values_are_refused(content):
    with pytest.raises(ValidationError):
        Some.model_validate_json(json.dumps(content))


def test_lists_fill_tuples_and_one_pattern_stands_for_a_list():
    found = Some.model_validate_json('{"size": [3, 4], "match": "core.*", "rate": 1}')
    assert (found.size, found.match, found.rate) == ((3, 4), ("core.*",), 1.0)
    assert Some.model_validate_json('{"match": ["a", "b"]}').match == ("a", "b")
    assert Some(match="core.*").match == Some(match=("core.*",)).match


def test_options_never_change_and_compare_by_value():
    found = Some()
    with pytest.raises(ValidationError):
        found.count = 3
    assert found == Some()
    assert found != Some(count=2)


def test_defaults_are_held_to_the_bounds_too():
    class Wrong(Options):
        count: int = Field(0, ge=1, description="how many")

    with pytest.raises(ValidationError):
        Wrong()


def test_every_kind_has_an_options_class_whose_every_field_is_described():
    for kind in KINDS.values():
        model = resolve_address(kind.options)
        assert issubclass(model, Options)
        assert all(field.description for field in model.model_fields.values())


@pytest.mark.parametrize("model", [SamplerOptions, LossOptions, OptimizerOptions])
def test_a_kind_that_asks_for_nothing_can_be_made_from_nothing(model):
    assert model.model_validate_json("{}") == model()


def test_a_regularizer_must_say_what_and_how_much():
    with pytest.raises(ValidationError) as caught:
        RegularizerOptions.model_validate_json("{}")
    assert {error["loc"] for error in caught.value.errors()} == {("strength",), ("match",)}


def test_slots_are_found_and_know_their_kinds():
    class Model(Options):
        core: Annotated[tuple[Choice, ...], Slot("stage", many=True)] = Field(description="stages")
        modulator: Annotated[Choice | None, Slot("modulator")] = Field(None, description="modulator")
        width: int = Field(1, description="width")

    assert {name: (slot.kind, slot.many) for name, slot in slots(Model).items()} == {
        "core": ("stage", True),
        "modulator": ("modulator", False),
    }
    with pytest.raises(ValueError, match="no kind named 'stages'"):
        Slot("stages")
    with pytest.raises(ValidationError, match="expected a block that names a component"):
        Model.model_validate_json('{"core": ["conv"]}')


def test_a_component_can_be_chosen_in_plain_python():
    component = Component(name="doubling", summary="", build="json:dumps")
    found = choose("sampler", component)
    assert found.options == SamplerOptions()
    assert found.dump() == {"name": "doubling", "batch_size": 256, "batches_per_epoch": None}
    assert choose("sampler", component, SamplerOptions(batch_size=2)) != found


def test_choices_compare_by_what_they_are_not_by_where_they_stand():
    component = Component(name="doubling", summary="", build="json:dumps")
    options = SamplerOptions()
    one, other = (
        Choice(kind="sampler", name="doubling", plugin="p", options=options, component=component, where=where)
        for where in ("a.yaml:1", "b.yaml:2")
    )
    assert one == other


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("json", "is not an address"),
        ("json:", "is not an address"),
        (":dumps", "is not an address"),
        ("json:no_such", "module 'json' has no attribute 'no_such'"),
        ("no_such_module_at_all:x", "No module named"),
    ],
)
def test_addresses_that_lead_nowhere(address, message):
    with pytest.raises(ImportError, match=message):
        resolve_address(address)


def test_an_address_without_a_module_is_looked_up_at_home():
    assert resolve_address(":dumps", "json") is json.dumps
    assert resolve_address("json:dumps", "os") is json.dumps
