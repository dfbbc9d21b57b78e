"""Which plugins may be imported at all: those that are allowed and locked, without those that are blocked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from visioncore_engine.errors import PluginError, Problem, nearest
from visioncore_engine.registry.lock import differences, read_lock
from visioncore_engine.registry.plugin import Plugin, normalised

__all__ = ["Selection"]


class Selection:
    """Says of each plugin why it is set aside.

    Parameters
    ----------
    plugins
        Every plugin that there is.
    allow, block
        Plugins by name or distribution. An empty `allow` allows all; `block` comes before `allow`.
    lock
        File of a lock; None where the run requires none.

    Raises
    ------
    PluginError
        Where a word is that of no plugin, and where a plugin of the lock is another one here.
    """

    def __init__(
        self,
        plugins: Sequence[Plugin],
        *,
        allow: Iterable[str] = (),
        block: Iterable[str] = (),
        lock: str | os.PathLike[str] | None = None,
    ) -> None:
        allow, block = tuple(allow), tuple(block)
        known = {name for plugin in plugins for name in (plugin.name, plugin.distribution) if name}
        problems = [*_unknown(allow, known, "allow"), *_unknown(block, known, "block")]
        if problems:
            raise PluginError(*problems)
        self._allow, self._block = frozenset(map(normalised, allow)), frozenset(map(normalised, block))
        self._locked: set[tuple[str, str]] | None = None
        if lock is not None:
            rows = read_lock(lock)
            self._locked = {(row.name, row.distribution) for row in rows}
            # What is set aside by name may be anything: it is not imported.
            wanted = [
                row for row in rows if not self._refused(frozenset(map(normalised, (row.name, row.distribution))))
            ]
            problems = list(differences(wanted, plugins, os.fspath(lock)))
            if problems:
                raise PluginError(*problems)

    def refusal(self, plugin: Plugin) -> str:
        """Why a plugin is not imported; empty where it may be."""
        refusal = self._refused(plugin.names)
        if not refusal and self._locked is not None and (plugin.name, plugin.distribution) not in self._locked:
            return "it is not in the lock"
        return refusal

    def _refused(self, names: frozenset[str]) -> str:
        if names & self._block:
            return "by name"
        return "it is not among those that are allowed" if self._allow and not names & self._allow else ""


def _unknown(words: Iterable[str], known: Iterable[str], what: str) -> Iterable[Problem]:
    spelled = {normalised(name) for name in known}
    for word in words:
        if normalised(word) not in spelled:
            close = nearest(word, known)
            hint = f"did you mean {close!r}? " if close else ""
            todo = f"{hint}there are: {', '.join(sorted(known)) or 'none'}"
            yield Problem(what=f"there is no such plugin to {what}", key=what, given=repr(word), todo=todo)
