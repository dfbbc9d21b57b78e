"""The engine's own launcher, by name and with its options."""

from __future__ import annotations

from visioncore_common.options.launcher import LocalOptions
from visioncore_engine.launch import LauncherFacts, LocalLauncher

__all__ = ["local"]


def local(options: LocalOptions, facts: LauncherFacts) -> LocalLauncher:
    """Build the launcher that a run without `launch` has."""
    return LocalLauncher(facts, grace=options.grace)
