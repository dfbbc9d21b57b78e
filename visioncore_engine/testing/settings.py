"""Laws hold for every word and switch that a component offers, and for every kind of data that it takes."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin

from visioncore_engine.component import KINDS, resolve_address
from visioncore_engine.config.words import unwrap
from visioncore_engine.errors import UserError
from visioncore_engine.testing.case import Case, Given
from visioncore_engine.testing.variation import own_options, variations

__all__ = ["in_every_setting", "settings"]

Function = Callable[[Case], None]


def in_every_setting(function: Function) -> Function:
    """Make a check run for the case, for each of its `settings`, and say in which of them it failed."""

    @functools.wraps(function)
    def every(case: Case) -> None:
        for words, setting in settings(case):
            try:
                function(setting)
            except AssertionError as error:
                if not words:
                    raise
                raise AssertionError(f"with {words}: {error}") from error

    return every


def settings(case: Case) -> Iterator[tuple[str, Case]]:
    """The case; with every other member of a `Literal` and every switch turned; with every other kind of data.

    Values that the case gives in `variants` are taken too. What is not valid is left out.
    """
    yield "", case
    for changes in _changes(case):
        setting = replace(case, options={**case.options, **changes})
        try:
            setting.build()
        except UserError:  # not valid beside the other options, or on these data
            continue
        yield ", ".join(f"{name} = {value!r}" for name, value in changes.items()), setting
    module = importlib.import_module(f"visioncore_engine.testing.scenes.{case.kind}")
    others = getattr(module, "other_scenes", None)
    if others is not None and case.scene is None:
        for words, scene in others(case):
            yield words, replace(case, scene=scene)


def _changes(case: Case) -> Iterator[Mapping[str, Any]]:
    options = case.choose().options
    for name in own_options(type(options), resolve_address(KINDS[case.kind].options)):
        if name in case.variants:
            variant = case.variants[name]
            given = variant if isinstance(variant, Given) else Given(variant)
            yield {**given.others, name: given.value}
        elif _is_word(type(options).model_fields[name].annotation):
            yield from ({name: value} for value in variations(options, name, case.plugins))


def _is_word(annotation: Any) -> bool:
    bare, _ = unwrap(annotation)
    members = [unwrap(member)[0] for member in get_args(bare)] if get_origin(bare) is not Literal else [bare]
    return bare is bool or any(get_origin(member) is Literal for member in members)
