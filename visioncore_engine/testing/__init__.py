"""What a plugin's author tests with: laws of each kind of component, and small worlds to keep them in.

::

    from visioncore_engine.testing import cases_of, parametrize_with_checks

    @parametrize_with_checks(cases_of(plugin="my_lab"))
    def test_laws(case, check):
        check(case)

Every component of the package meets the laws of its kind. pytest finds the fixtures by itself (`plugin`). Importing
this package imports neither torch nor numpy nor pydantic.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visioncore_engine.testing.case import Case, Given, Scene
    from visioncore_engine.testing.checking import Check, check, checks_of
    from visioncore_engine.testing.distribution import FakeDistribution
    from visioncore_engine.testing.manager import IsolatedPlugins
    from visioncore_engine.testing.parametrize import cases_of, parametrize_with_checks
    from visioncore_engine.testing.ranks import RankError, run_ranks
    from visioncore_engine.testing.recorder import HookRecorder
    from visioncore_engine.testing.tiny import TinyRun

# Imported on first use: pytest loads this package in every session.
_PUBLIC = {
    "Case": "case",
    "Check": "checking",
    "FakeDistribution": "distribution",
    "Given": "case",
    "HookRecorder": "recorder",
    "IsolatedPlugins": "manager",
    "RankError": "ranks",
    "Scene": "case",
    "TinyRun": "tiny",
    "cases_of": "parametrize",
    "check": "checking",
    "checks_of": "checking",
    "parametrize_with_checks": "parametrize",
    "run_ranks": "ranks",
}

__all__ = [
    "Case",
    "Check",
    "FakeDistribution",
    "Given",
    "HookRecorder",
    "IsolatedPlugins",
    "RankError",
    "Scene",
    "TinyRun",
    "cases_of",
    "check",
    "checks_of",
    "parametrize_with_checks",
    "run_ranks",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
