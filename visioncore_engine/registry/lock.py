"""A file that names plugins with their versions and hashes, so that a run can require exactly these."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from visioncore_engine.errors import PluginError, Problem
from visioncore_engine.registry.contents import contents
from visioncore_engine.registry.plugin import Plugin

__all__ = ["Locked", "differences", "locked", "read_lock", "to_text"]

_FORMAT = 1


@dataclass(frozen=True, order=True)
class Locked:
    """One plugin as a lock holds it; `hash` is that of `contents`."""

    name: str
    distribution: str
    version: str
    hash: str

    @property
    def origin(self) -> str:
        """``distribution==version``, or that it is a file."""
        return f"{self.distribution}=={self.version}" if self.distribution else "a single file"


def locked(plugin: Plugin) -> Locked:
    """Describe a plugin as it is here, without importing it."""
    return Locked(plugin.name, plugin.distribution, plugin.version, contents(plugin).hash)


def to_text(plugins: Iterable[Plugin]) -> str:
    """Write a lock: JSON, a plugin each, sorted."""
    rows = [asdict(row) for row in sorted(map(locked, plugins))]
    return json.dumps({"format": _FORMAT, "plugins": rows}, indent=2) + "\n"


def read_lock(path: str | os.PathLike[str]) -> tuple[Locked, ...]:
    """Read a lock.

    Raises
    ------
    PluginError
        Where the file is missing, or is no lock of this format.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        rows = tuple(Locked(**{key: str(value) for key, value in row.items()}) for row in content["plugins"])
        what = f"this is a lock of format {content['format']!r}, and this engine reads format {_FORMAT}"
        if content["format"] == _FORMAT:
            return rows
    except OSError as error:
        what = f"the lock cannot be read: {error.strerror}"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"this is no lock of plugins: {type(error).__name__}: {error}"
    todo = f"write one: visioncore plugins --write-lock {os.fspath(path)}"
    raise PluginError(Problem(what=what, key="lock", given=os.fspath(path), todo=todo))


def differences(lock: Iterable[Locked], plugins: Iterable[Plugin], path: str) -> tuple[Problem, ...]:
    """Say what is not here as a lock has it; other plugins than those of the lock do not matter.

    Parameters
    ----------
    lock
        What the file holds.
    plugins
        Every plugin that there is here.
    path
        The file, for messages.
    """
    here = {(plugin.name, plugin.distribution): plugin for plugin in plugins}
    problems = []
    for then in lock:
        plugin = here.get((then.name, then.distribution))
        back = f"install {then.origin}" if then.distribution else "name the file with --plugin"
        if plugin is None:
            what = f"plugin {then.name!r} ({then.origin}) of the lock is not here"
            problems.append(_problem(what, back, path))
            continue
        now = locked(plugin)
        if now.version != then.version:
            what = f"plugin {then.name!r} is {now.origin} here, and {then.origin} in the lock"
            problems.append(_problem(what, back, path))
        elif now.hash != then.hash:
            what = (
                f"the code of plugin {then.name!r} ({now.origin}) is {_short(now)} here, and {_short(then)} in the lock"
            )
            problems.append(_problem(what, "bring that code back", path))
    return tuple(problems)


def _problem(what: str, back: str, path: str) -> Problem:
    todo = f"{back}, or accept what is here: visioncore plugins --write-lock {path}"
    return Problem(what=what, key="lock", given=path, todo=todo)


def _short(row: Locked) -> str:
    return row.hash[:19] or "without files"
