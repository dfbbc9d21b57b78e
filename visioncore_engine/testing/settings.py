"""Laws hold for every word and switch that a component offers, and for every kind of data that it takes."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal, get_args, get_origin

from visioncore_engine.component import KINDS, resolve_address
from visioncore_engine.config.words import unwrap
from visioncore_engine.errors import UserError
from visioncore_engine.testing.case import Case, Given
from visioncore_engine.testing.variation import own_options, variations

__all__ = ["settings"]


@lru_cache(maxsize=1)  # all checks of a component ask one after another
def settings(case: Case) -> tuple[tuple[str, Case], ...]:
    """The case and its settings, each with words that name it.

    That is with every other member of a `Literal` and every switch turned; with every other kind of data.

    Values that the case gives in `variants` are taken too. Left out are those that are not valid, those that the case
    sets `apart`, and where the data of a dataset lie, which its laws change themselves (`altered` of the scene).
    """
    return tuple(_settings(case))


def _settings(case: Case) -> Iterator[tuple[str, Case]]:
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
    apart = {*case.apart, *getattr(case.scene_of(), "altered", ())}
    for name in own_options(type(options), resolve_address(KINDS[case.kind].options)):
        if name in apart:
            continue
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
