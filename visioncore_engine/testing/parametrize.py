"""From components to tests: a test for each component and each law of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from visioncore_engine.errors import PluginError, Problem, nearest
from visioncore_engine.registry import Entry, Registry, discover
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import Check, checks_of
from visioncore_engine.testing.guard import refuse_excuses

__all__ = ["cases_of", "parametrize_with_checks"]


def cases_of(
    registry: Registry | None = None,
    *,
    plugin: str = "",
    distribution: str = "",
    kinds: Iterable[str] = (),
    cases: Iterable[Case] = (),
) -> tuple[Case, ...]:
    """Make a case for every component.

    Parameters
    ----------
    registry
        Where components are looked up; by default what is installed.
    plugin, distribution
        Only components of this plugin or distribution.
    kinds
        Only components of these kinds.
    cases
        Stand in for the cases that would be made of their components; they must be among the components.

    Raises
    ------
    PluginError
        Where no component is left, or one of `cases` is none of them.
    """
    found = discover() if registry is None else registry
    wanted = frozenset(kinds)
    entries = [
        entry
        for entry in found.entries
        if not entry.refused
        and plugin in ("", entry.plugin.name)
        and distribution in ("", entry.plugin.distribution)
        and (not wanted or entry.kind in wanted)
    ]
    if not entries:
        names = ", ".join(str(known) for known in found.plugins) or "none"
        raise PluginError(Problem(what="there is no component to test", given=repr(plugin or distribution), todo=names))
    written = {}
    for case in cases:
        entry = found.find(case.kind, case.name)
        if entry not in entries:
            raise PluginError(Problem(what=f"{case} is none of the components to test", given=entry.plugin.name))
        written[entry.kind, entry.reference] = case if case.registry else replace(case, registry=registry)
    return tuple(
        written.get((entry.kind, entry.reference)) or Case(entry.kind, _name(entry, found), registry=registry)
        for entry in entries
    )


def parametrize_with_checks(cases: Iterable[Case]) -> Callable[[Callable[..., Any]], Any]:
    """Run a test ``(case, check)`` for every check of each case's kind.

    Raises
    ------
    PluginError
        Where a case expects a check to fail that its kind does not have, or more than a third of its checks.
    """
    rows = [_row(case, check) for case in cases for check in _checks(case)]
    return pytest.mark.parametrize(("case", "check"), rows)


def _checks(case: Case) -> Sequence[Check]:
    checks = checks_of(case.kind)
    names = [check.name for check in checks]
    for unknown in set(case.expected) - set(names):
        close = nearest(unknown, names)
        todo = f"did you mean {close!r}?" if close else f"checks: {', '.join(names)}"
        raise PluginError(Problem(what=f"{case} has no such check to fail", given=repr(unknown), todo=todo))
    refuse_excuses(case, checks)
    return checks


def _row(case: Case, check: Check) -> Any:
    reason = case.expected.get(check.name)
    marks = () if reason is None else (pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason),)
    return pytest.param(case, check, id=f"{case}-{check}", marks=marks)


def _name(entry: Entry, registry: Registry) -> str:
    return entry.name if len(registry.candidates(entry.kind, entry.name)) == 1 else entry.reference
