"""The registry: looking up what plugins declare, and saying well why something is not there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from visioncore_engine.component import KINDS, Command
from visioncore_engine.errors import PluginError, Problem, nearest
from visioncore_engine.registry.plugin import Declared, Entry, Plugin, blocked_names, describe_error, trace

__all__ = ["Registry"]


@dataclass(frozen=True)
class Registry:
    """Everything that the installed plugins offer; passed on, never a global.

    Attributes
    ----------
    plugins
        All plugins, sorted by (distribution, name); those that cannot be used too.
    entries
        All components of the loaded plugins, sorted by (kind, name, plugin).
    """

    plugins: tuple[Plugin, ...] = ()
    entries: tuple[Entry, ...] = ()
    declared_commands: tuple[Declared[Command], ...] = ()
    declared_sections: tuple[Declared[str], ...] = ()
    declared_checks: tuple[Declared[Callable[[Any], Any]], ...] = ()
    declared_data_checks: tuple[Declared[Callable[[Any], Any]], ...] = ()

    @cached_property
    def _index(self) -> dict[tuple[str, str], list[Entry]]:
        index = defaultdict(list)
        for entry in self.entries:
            index[entry.kind, entry.name].append(entry)
        return dict(index)

    def names(self, kind: str) -> tuple[str, ...]:
        """Names of a kind that a run file may write, sorted."""
        _require_kind(kind)
        return tuple(sorted({entry.name for entry in self.entries if entry.kind == kind and not entry.refused}))

    def candidates(self, kind: str, name: str) -> tuple[Entry, ...]:
        """Usable components of one name: several where the name is ambiguous."""
        return tuple(entry for entry in self._index.get((kind, name), ()) if not entry.refused)

    def without(self, block: Iterable[str]) -> Registry:
        """Return the registry without some plugins, by plugin name or distribution, as if they had been blocked.

        Raises
        ------
        PluginError
            Where a name is that of no plugin.
        """
        names = blocked_names(block, self.plugins)
        kept = [entry for entry in self.entries if not names & entry.plugin.names]
        return Registry(
            plugins=tuple(replace(found, status="blocked") if names & found.names else found for found in self.plugins),
            entries=tuple(kept),
            declared_commands=tuple(item for item in self.declared_commands if not names & item.plugin.names),
            declared_sections=tuple(item for item in self.declared_sections if not names & item.plugin.names),
            declared_checks=tuple(item for item in self.declared_checks if not names & item.plugin.names),
            declared_data_checks=tuple(item for item in self.declared_data_checks if not names & item.plugin.names),
        )

    def find(self, kind: str, reference: str) -> Entry:
        """Look up ``name`` or ``plugin:name``.

        Raises
        ------
        PluginError
            Where the name is unknown (with the nearest, the installed ones and the broken plugins that might have
            provided it), ambiguous, or written for another version of the kind's contract; and where the plugin is
            blocked or broken.
        """
        _require_kind(kind)
        prefix, _, name = reference.rpartition(":")
        found = [entry for entry in self._index.get((kind, name), ()) if prefix in ("", entry.plugin.name)]
        usable = [entry for entry in found if not entry.refused]
        if len(usable) == 1:
            trace(f"{kind} {reference!r}: {usable[0].plugin}")
            return usable[0]
        if usable:
            raise PluginError(_ambiguous(kind, reference, usable))
        if found:
            raise PluginError(Problem(what=f"{found[0].plugin}: {kind} {name!r} cannot be used", todo=found[0].refused))
        raise PluginError(self._unknown(kind, prefix, name))

    def commands(self) -> tuple[Declared[Command], ...]:
        """Return the commands that plugins add, sorted by (name, plugin)."""
        return self.declared_commands

    def report_sections(self) -> tuple[Declared[str], ...]:
        """Addresses of the report sections that plugins add, sorted by (plugin, order of declaration)."""
        return self.declared_sections

    def checks(self, config: Any) -> tuple[Problem, ...]:
        """Ask every plugin what it finds wrong with a resolved run.

        Raises
        ------
        PluginError
            Where a check itself fails; names the plugin.
        """
        return _ask(self.declared_checks, "visioncore_checks", config)

    def data_checks(self, config: Any) -> tuple[Problem, ...]:
        """Ask every plugin what the headers of a resolved run's data say is wrong.

        Raises
        ------
        PluginError
            Where a check itself fails; names the plugin.
        """
        return _ask(self.declared_data_checks, "visioncore_data_checks", config)

    def _unknown(self, kind: str, prefix: str, name: str) -> Problem:
        plural = KINDS[kind].plural
        hints = []
        missing = [plugin for plugin in self.plugins if plugin.status != "loaded"]
        if prefix:
            same = [plugin for plugin in self.plugins if plugin.name == prefix]
            if not same:
                close = nearest(prefix, [plugin.name for plugin in self.plugins])
                hints.append(f"did you mean plugin {close!r}?" if close else "")
                hints.append(f"plugins: {', '.join(plugin.name for plugin in self.plugins) or 'none'}")
                return Problem(what=f"no plugin named {prefix!r}", given=f"'{prefix}:{name}'", todo=_join(hints))
            if same[0].status == "blocked":
                return Problem(what=f"plugin {same[0]} is blocked, so its {kind} {name!r} cannot be used")
            if same[0].status == "broken":
                return Problem(what=f"plugin {same[0]} cannot be loaded: {same[0].error}")
        allowed = [entry for entry in self.entries if entry.kind == kind and prefix in ("", entry.plugin.name)]
        close = nearest(name, [entry.name for entry in allowed if not entry.refused])
        hints.append(f"did you mean {close!r}?" if close else "")
        hints.append(f"installed {plural}: {_by_plugin(allowed) or 'none'}")
        if not prefix:
            hints += [
                f"plugin {plugin} might provide it: {plugin.status} {plugin.error}".rstrip() for plugin in missing
            ]
        owner = f" in plugin {prefix!r}" if prefix else ""
        return Problem(what=f"no {kind} named {name!r}{owner}", todo=_join(hints))


def _ask(checks: Iterable[Declared[Callable[[Any], Any]]], hook: str, config: Any) -> tuple[Problem, ...]:
    problems: list[Problem] = []
    for check in checks:
        try:
            found = tuple(check.value(config) or ())
        except Exception as error:
            raise PluginError(
                Problem(
                    what=f"plugin {check.plugin}: {hook} raised {describe_error(error)}",
                    todo=f"mend the plugin, or block it: plugins.block: [{check.plugin.name}]",
                )
            ) from error
        strangers = [item for item in found if not isinstance(item, Problem)]
        if strangers:
            raise PluginError(f"plugin {check.plugin}: {hook} must yield Problem, got {type(strangers[0]).__name__}")
        problems.extend(found)
    return tuple(problems)


def _require_kind(kind: str) -> None:
    if kind not in KINDS:
        close = nearest(kind, KINDS)
        hints = [f"did you mean {close!r}?" if close else "", f"kinds: {', '.join(sorted(KINDS))}"]
        raise PluginError(Problem(what=f"no kind named {kind!r}", todo=_join(hints)))


def _ambiguous(kind: str, reference: str, found: Sequence[Entry]) -> Problem:
    owners = ", ".join(f"{entry.reference!r} ({entry.plugin.origin})" for entry in found)
    if len({entry.plugin.name for entry in found}) == len(found):
        todo = f"write one of {owners}"
    else:
        todo = f"several distributions provide it under one plugin name: {owners}; block one by its distribution"
    return Problem(what=f"{kind} {reference!r} is provided by several plugins", todo=todo)


def _by_plugin(entries: Sequence[Entry]) -> str:
    names: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        names[entry.plugin.origin].append(entry.name)
    return "; ".join(f"{', '.join(sorted(set(found)))} (from {origin})" for origin, found in sorted(names.items()))


def _join(hints: Iterable[str]) -> str:
    return " ".join(filter(None, ["; ".join(hint for hint in hints if hint).replace("?;", "?")]))
