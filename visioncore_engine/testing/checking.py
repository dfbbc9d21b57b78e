"""The table of checks: each is a law of one kind of component, or of all."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass

from visioncore_engine.component import KINDS
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.settings import settings

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
    one_setting
        Why it is tried with the case alone and not in every setting of it; empty where it is.
    """

    name: str
    law: str
    function: Callable[[Case], None]
    fresh_process: bool = False
    one_setting: str = ""

    def __call__(self, case: Case) -> None:
        """Check one component in every setting of it; what it changes for others is put back.

        Raises
        ------
        AssertionError
            Where a law is broken, with the setting in which it is.
        """
        from visioncore_engine.testing.worlds import restored

        with restored():
            for words, setting in [("", case)] if self.one_setting else settings(case):
                try:
                    self.function(setting)
                except AssertionError as error:
                    if words:
                        raise AssertionError(f"with {words}: {error}") from error
                    raise
                except Exception as error:
                    if words:
                        error.add_note(f"with {words}")
                    raise

    def __str__(self) -> str:
        return self.name


def check(
    *kinds: str, fresh_process: bool = False, one_setting: str = ""
) -> Callable[[Callable[[Case], None]], Callable[[Case], None]]:
    """Register a function of a `Case` as a check of some kinds; of every kind where none is named.

    Parameters
    ----------
    kinds
        Of components that meet it.
    fresh_process
        It starts a Python process of its own, once for each plugin.
    one_setting
        Why the case as it stands is enough. Otherwise the check is called for every setting of it (`settings`).

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
            _TABLE[kind, name] = Check(name, law, function, fresh_process, one_setting)
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
