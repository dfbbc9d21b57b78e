"""Other values of an option: valid ones are among them, whatever its type and bounds."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from visioncore_engine.options import Choice, Options, SamplerOptions, Slot
from visioncore_engine.registry import Registry
from visioncore_engine.schedule import Scheduled
from visioncore_engine.testing.toybox import toys
from visioncore_engine.testing.variation import own_options, variations


class Inner(Options):
    depth: int = Field(2, ge=1, description="a number inside")


class Every(SamplerOptions):
    flag: bool = Field(False, description="a switch")
    word: Literal["a", "b", "c"] = Field("b", description="a word")
    share: float = Field(0.999, ge=0, lt=1, description="a share")
    tiny: float = Field(1e-8, gt=0, le=1e-6, description="a small number")
    count: int = Field(3, ge=3, le=4, description="a count")
    maybe: int | None = Field(None, ge=1, description="a number or nothing")
    strength: Scheduled = Field(0.5, description="a number or a schedule")
    file: str = Field("scores.csv", pattern=r"^\w+\.csv$", description="a file")
    label: str = Field("", description="a text")
    pair: tuple[int, int] = Field((3, 3), description="two numbers")
    many: tuple[Annotated[int, Field(ge=1)], ...] = Field((8,), min_length=1, description="some numbers")
    none: tuple[str, ...] = Field((), description="no text")
    inner: Inner = Field(default_factory=Inner, description="options inside")
    part: Annotated[Choice | None, Slot("callback")] = Field(None, description="a component")


OWN = own_options(Every, SamplerOptions)


def test_options_of_the_kind_are_not_the_components_own():
    assert set(OWN) == set(Every.model_fields) - {"batch_size", "batches_per_epoch"}


@pytest.mark.parametrize("name", [name for name in OWN if name != "part"])
def test_a_valid_value_is_found_and_the_current_one_is_not(name):
    options = Every()
    current = options.model_dump(mode="json")[name]
    found = variations(options, name, Registry())
    assert found
    assert current not in found
    valid = []
    for value in found:
        try:
            valid.append(getattr(Every.model_validate({name: _tuples(value)}), name))
        except ValidationError:
            continue
    assert valid, f"none of {found} is valid"


def test_every_word_of_a_list_of_words_is_tried():
    assert set(variations(Every(), "word", Registry())) == {"a", "c"}


def test_components_for_a_slot_are_those_of_its_kind():
    assert set(variations(Every(), "part", toys())) == {"tiny_cut", "tiny_given"}


def _tuples(value):
    return tuple(value) if isinstance(value, list) else value
