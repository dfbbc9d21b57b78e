"""The registry: looking up what plugins declare, and saying well why something is not there."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from visioncore_engine.component import KINDS, Command
from visioncore_engine.errors import PluginError, Problem, nearest
from visioncore_engine.registry.plugin import Declared, Entry, Plugin, describe_error
from visioncore_engine.registry.selection import Selection
from visioncore_engine.tracing import trace, traced

__all__ = ["Registry"]

_Of = TypeVar("_Of", Entry, Declared[Any])


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

    @cached_property
    def _former(self) -> dict[tuple[str, str], list[Entry]]:
        index = defaultdict(list)
        for entry in self.entries:
            for name in entry.component.former_names:
                index[entry.kind, name].append(entry)
        return dict(index)

    def candidates(self, kind: str, name: str) -> tuple[Entry, ...]:
        """Usable components of one name: several where the name is ambiguous. A name in use is nobody's former name."""
        found = [entry for entry in self._index.get((kind, name), ()) if not entry.refused]
        return tuple(found or (entry for entry in self._former.get((kind, name), ()) if not entry.refused))

    def select(
        self,
        *,
        allow: Iterable[str] = (),
        block: Iterable[str] = (),
        lock: str | os.PathLike[str] | None = None,
    ) -> Registry:
        """Return the registry without some plugins, as if they had been set aside when it was made.

        Parameters
        ----------
        allow, block, lock
            As for `discover`.

        Raises
        ------
        PluginError
            As `discover`.
        """
        selection = Selection(self.plugins, allow=allow, block=block, lock=lock)
        refused = {plugin: reason for plugin in self.plugins if (reason := selection.refusal(plugin))}

        def kept(items: Iterable[_Of]) -> tuple[_Of, ...]:
            return tuple(item for item in items if item.plugin not in refused)

        return Registry(
            plugins=tuple(
                replace(plugin, status="blocked", error=refused[plugin]) if plugin in refused else plugin
                for plugin in self.plugins
            ),
            entries=kept(self.entries),
            declared_commands=kept(self.declared_commands),
            declared_sections=kept(self.declared_sections),
            declared_checks=kept(self.declared_checks),
            declared_data_checks=kept(self.declared_data_checks),
        )

    def find(self, kind: str, reference: str) -> Entry:
        """Look up ``name`` or ``plugin:name``; a former name finds the component that bears another one now.

        Raises
        ------
        PluginError
            Where the name is unknown (with the nearest, the installed ones and the broken plugins that might have
            provided it), ambiguous, or written for another version of the kind's contract; and where the plugin is
            blocked or broken.
        """
        _require_kind(kind)
        prefix, _, name = reference.rpartition(":")
        found: list[Entry] = []
        for index in (self._index, self._former):  # who bears a name comes before who bore it
            if not any(not entry.refused for entry in found):
                found += [entry for entry in index.get((kind, name), ()) if prefix in ("", entry.plugin.name)]
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

    def hooks(self) -> dict[str, tuple[str, ...]]:
        """Plugins behind each hook that is called rather than looked up, in the order of the calls."""
        declared: dict[str, Iterable[Declared[Any]]] = {
            "visioncore_checks": self.declared_checks,
            "visioncore_data_checks": self.declared_data_checks,
            "visioncore_report_sections": self.declared_sections,
        }
        return {hook: tuple(dict.fromkeys(item.plugin.name for item in items)) for hook, items in declared.items()}

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
                why = f"plugin {same[0]} is blocked ({same[0].error})"
                return Problem(what=f"{why}, so its {kind} {name!r} cannot be used")
            if same[0].status == "broken":
                return Problem(what=f"plugin {same[0]} cannot be loaded: {same[0].error}")
        allowed = [entry for entry in self.entries if entry.kind == kind and prefix in ("", entry.plugin.name)]
        close = nearest(name, [entry.name for entry in allowed if not entry.refused])
        hints.append(f"did you mean {close!r}?" if close else "")
        hints.append(f"installed {plural}: {_by_plugin(allowed) or 'none'}")
        if not prefix:
            hints += [f"plugin {plugin} might provide it: {plugin.status}: {plugin.error}" for plugin in missing]
        owner = f" in plugin {prefix!r}" if prefix else ""
        return Problem(what=f"no {kind} named {name!r}{owner}", todo=_join(hints))


def _ask(checks: Iterable[Declared[Callable[[Any], Any]]], hook: str, config: Any) -> tuple[Problem, ...]:
    problems: list[Problem] = []
    for check in checks:
        try:
            with traced(f"called {hook} of plugin {check.plugin}"):
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
