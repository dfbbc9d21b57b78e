"""The table of checks: each is a law of one kind of component, or of all."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass

from visioncore_engine.component import KINDS
from visioncore_engine.testing.case import Case

__all__ = ["Check", "check", "checks_of"]

_TABLE: dict[tuple[str, str], Check] = {}


@dataclass(frozen=True, eq=False)
class Check:
    """A law as a test: called with a `Case`, it raises AssertionError where the component breaks it.

    Attributes
    ----------
    name, law
        Name of the function and the first line of its documentation.
    function
        Takes the case.
    fresh_process
        It starts a Python process of its own, once for each plugin.
    """

    name: str
    law: str
    function: Callable[[Case], None]
    fresh_process: bool = False

    def __call__(self, case: Case) -> None:
        """Check one component; what it changes for others is put back."""
        from visioncore_engine.testing.worlds import restored

        with restored():
            self.function(case)

    def __str__(self) -> str:
        return self.name


def check(*kinds: str, fresh_process: bool = False) -> Callable[[Callable[[Case], None]], Callable[[Case], None]]:
    """Register a function of a `Case` as a check of some kinds; of every kind where none is named.

    Raises
    ------
    ValueError
        For a kind that does not exist, a name that is taken, and a function that does not say its law.
    """
    unknown = set(kinds) - set(KINDS)
    if unknown:
        raise ValueError(f"no kind named {', '.join(sorted(unknown))}; kinds: {', '.join(KINDS)}")

    def register(function: Callable[[Case], None]) -> Callable[[Case], None]:
        name = function.__name__
        law = (inspect.getdoc(function) or "").partition("\n")[0]
        if not law:
            raise ValueError(f"the check {name!r} does not say its law in the first line of its documentation")
        for kind in kinds or KINDS:
            if (kind, name) in _TABLE:
                raise ValueError(f"there is a check {name!r} of the kind {kind!r} already")
            _TABLE[kind, name] = Check(name, law, function, fresh_process)
        return function

    return register


def checks_of(kind: str) -> tuple[Check, ...]:
    """Every check that components of a kind meet, sorted by name.

    Raises
    ------
    ValueError
        For a kind that does not exist.
    """
    if kind not in KINDS:
        raise ValueError(f"no kind named {kind!r}; kinds: {', '.join(KINDS)}")
    for module in ("every", kind):
        importlib.import_module(f"visioncore_engine.testing.checks.{module}")
    return tuple(found for (owner, _), found in sorted(_TABLE.items()) if owner == kind)
