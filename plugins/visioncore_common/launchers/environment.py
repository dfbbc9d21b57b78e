"""Reading what a launcher wrote into the environment, and holding it against the run."""

from __future__ import annotations

from collections.abc import Mapping

from visioncore_engine.errors import ConfigError, Problem
from visioncore_engine.launch import LauncherFacts

__all__ = ["check_devices", "number"]


def number(environment: Mapping[str, str], name: str, launcher: str, default: str = "") -> int:
    """Value of a variable that the launcher sets; `default` where it may be missing.

    Raises
    ------
    ConfigError
        Where it is missing or no number.
    """
    value = environment.get(name, default)
    if not value.isdecimal():
        raise ConfigError(
            Problem(
                what=f"the environment has no number {name}, which {launcher} sets",
                key="launch",
                given=repr(value) if value else None,
                todo=f"start the processes with {launcher}",
            )
        )
    return int(value)


def check_devices(facts: LauncherFacts, num_processes: int, launcher: str) -> None:
    """Check `trainer.devices` against the processes that were started on this host.

    Raises
    ------
    ConfigError
        Where they differ.
    """
    if facts.devices not in ("auto", num_processes):
        raise ConfigError(
            Problem(
                what=f"{launcher} started {num_processes} processes on this host",
                key="trainer.devices",
                given=str(facts.devices),
                todo=f"write {num_processes} or auto, or start as many processes",
            )
        )
