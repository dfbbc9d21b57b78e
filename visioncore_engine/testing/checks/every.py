"""Laws of every kind of component."""

from __future__ import annotations

from visioncore_engine.testing.case import Case
from visioncore_engine.testing.check import check
from visioncore_engine.testing.compare import differences

__all__ = ["same_seed_same_probe"]


@check()
def same_seed_same_probe(case: Case) -> None:
    """Built twice under one seed, it does the same."""
    found = list(differences(case.probe(), case.probe()))
    assert not found, f"built twice with the same seed and options, it does other things: {found[0]}"
