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
    from visioncore_engine.testing.check import Check, check, checks_of
    from visioncore_engine.testing.parametrize import cases_of, parametrize_with_checks

# Imported on first use: pytest loads this package in every session.
_PUBLIC = {
    "Case": "case",
    "Check": "check",
    "Given": "case",
    "Scene": "case",
    "cases_of": "parametrize",
    "check": "check",
    "checks_of": "check",
    "parametrize_with_checks": "parametrize",
}

__all__ = ["Case", "Check", "Given", "Scene", "cases_of", "check", "checks_of", "parametrize_with_checks"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
