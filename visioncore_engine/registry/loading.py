"""Loading one plugin: what it declares is checked as a whole, and a plugin that fails is set aside with its reason."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pluggy

from visioncore_engine import hookspecs
from visioncore_engine.component import KINDS, Command, Component
from visioncore_engine.errors import nearest
from visioncore_engine.registry.plugin import Declared, Entry, Plugin, describe_error
from visioncore_engine.tracing import traced

__all__ = ["Found", "load"]

T = TypeVar("T")

_KIND_OF_HOOK = {kind.hook: kind for kind in KINDS.values()}
_ADDRESS = re.compile(r"([A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?:[A-Za-z_]\w*")
_COMPONENT_NAME = re.compile(r"[a-z][a-z0-9_]*")
_COMMAND_NAME = re.compile(r"[a-z][a-z0-9-]*")
_PLUGIN_NAME = re.compile(r"[A-Za-z0-9_.-]+")


class _BrokenError(Exception):
    """What is wrong with a plugin, in our own words."""


@dataclass
class Found:
    """What plugins declare."""

    entries: list[Entry] = field(default_factory=list)
    commands: list[Declared[Command]] = field(default_factory=list)
    sections: list[Declared[str]] = field(default_factory=list)
    checks: list[Declared[Callable[[Any], Any]]] = field(default_factory=list)
    data_checks: list[Declared[Callable[[Any], Any]]] = field(default_factory=list)


def load(plugin: Plugin, importer: Callable[[], Any]) -> tuple[Plugin, Found]:
    """Import a plugin and collect what it declares.

    Parameters
    ----------
    plugin
        What is known before the import.
    importer
        Returns the module (or object) that holds the hook implementations.

    Returns
    -------
    plugin
        With its source and status; ``broken`` with the reason where anything at all is wrong.
    found
        What it declares; empty for a broken plugin, so that half of it is never used.
    """
    had_torch = "torch" in sys.modules
    try:
        _check_name(plugin.name, _PLUGIN_NAME, "its entry point")
        loaded = _import(plugin, importer)
        source = getattr(sys.modules.get(plugin.module), "__file__", None)
        slow = ("it imports torch when it is only listed, which makes every command slow",)
        plugin = replace(
            plugin,
            source=str(source or plugin.source),
            warnings=slow if "torch" in sys.modules and not had_torch else (),
        )
        return plugin, _declarations(loaded, plugin)
    except _BrokenError as error:
        return replace(plugin, status="broken", error=str(error)), Found()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's module may raise anything; it is shown
        return replace(plugin, status="broken", error=describe_error(error)), Found()


def _import(plugin: Plugin, importer: Callable[[], Any]) -> Any:
    try:
        with traced(f"imported {plugin.module!r} of plugin {plugin}"):
            return importer()
    except AttributeError as error:
        module = sys.modules.get(plugin.module)
        if module is None or error.obj is not module:
            raise
        # The module itself was imported, so it is the attribute named by the entry point that is missing.
        raise _BrokenError(f"{plugin.module!r} has no attribute {error.name!r}, which its entry point names") from error


def _declarations(loaded: Any, plugin: Plugin) -> Found:
    manager = pluggy.PluginManager(hookspecs.ENTRY_POINT_GROUP)  # its own: a failure leaves nothing behind elsewhere
    manager.add_hookspecs(hookspecs)
    known = {name: getattr(manager.hook, name) for name in vars(hookspecs) if name.startswith("visioncore_")}
    try:
        manager.register(loaded, name=plugin.name)
    except pluggy.PluginValidationError as error:
        raise _BrokenError(_signature_error(error, known)) from error
    callers = manager.get_hookcallers(loaded) or []
    if not callers:
        raise _BrokenError("it has no hooks: mark functions named like visioncore_samplers with @hookimpl")
    for caller in callers:
        if caller.name not in known:
            close = nearest(caller.name, known)
            hint = f"; did you mean {close!r}?" if close else f"; hooks: {', '.join(sorted(known))}"
            raise _BrokenError(f"there is no hook named {caller.name!r}{hint}")
    found = Found()
    for caller in sorted(callers, key=lambda caller: caller.name):
        for implementation in caller.get_hookimpls():
            if implementation.hookwrapper or implementation.wrapper:
                raise _BrokenError(f"hook {caller.name} is a wrapper: plugins declare, they do not wrap each other")
            _collect(caller.name, implementation, plugin, found)
    return found


def _signature_error(error: pluggy.PluginValidationError, known: dict[str, Any]) -> str:
    reason = str(error).splitlines()[-1]
    hook = next((name for name in known if f"{name!r}" in str(error)), "")
    unknown = re.findall(r"'(\w+)'", reason)
    if not hook or "declared in the hookimpl" not in reason or not unknown:
        return f"hook {hook}: {reason}"
    allowed = ", ".join(known[hook].spec.argnames) or "none"
    return f"hook {hook} has no argument {', '.join(map(repr, sorted(unknown)))}; available: {allowed}"


def _collect(hook: str, implementation: Any, plugin: Plugin, found: Found) -> None:
    """Call one hook implementation and file what it yields."""
    function = implementation.function
    if hook in ("visioncore_checks", "visioncore_data_checks"):
        check = function if implementation.argnames else lambda _config: function()
        kept = found.checks if hook == "visioncore_checks" else found.data_checks
        kept.append(Declared(check, plugin, plugin.module))
        return
    try:
        with traced(f"called {hook} of plugin {plugin}"):
            yielded = list(function() or ())
    except (Exception, SystemExit) as error:
        raise _BrokenError(f"hook {hook} raised {describe_error(error)}") from error
    for item in yielded:
        if hook == "visioncore_commands":
            command = _expect(item, Command, hook)
            _check_name(command.name, _COMMAND_NAME, f"hook {hook}")
            _check_address(command.build, f"{hook}: {command.name}.build")
            found.commands.append(Declared(command, plugin, plugin.module))
        elif hook == "visioncore_report_sections":
            _check_address(item, hook)
            found.sections.append(Declared(item, plugin, plugin.module))
        else:
            found.entries.append(_entry(_expect(item, Component, hook), hook, plugin, found.entries))


def _entry(component: Component, hook: str, plugin: Plugin, others: list[Entry]) -> Entry:
    kind = _KIND_OF_HOOK[hook]
    taken = {name for other in others if other.kind == kind.name for name in other.names}
    for name in (component.name, *component.former_names):
        _check_name(name, _COMPONENT_NAME, f"hook {hook}")
        if name in taken:
            raise _BrokenError(f"hook {hook} yields {name!r} twice")
        taken.add(name)
    refused = ""
    if component.version != kind.version:
        remedy = "update the plugin" if component.version < kind.version else "update visioncore-engine"
        written = f"written for version {component.version} of the {kind.name} contract"
        refused = f"it is {written}, and this engine has version {kind.version}; {remedy}"
    else:  # how another version of the contract writes its addresses is not known here
        _check_address(component.build, f"{hook}: {component.name}.build")
        if component.options:
            _check_address(component.options, f"{hook}: {component.name}.options")
    return Entry(kind=kind.name, component=component, plugin=plugin, home=plugin.module, refused=refused)


def _expect(item: Any, wanted: type[T], hook: str) -> T:
    if not isinstance(item, wanted):
        raise _BrokenError(f"hook {hook} must yield {wanted.__name__}, got {type(item).__name__}")
    return item


def _check_name(name: Any, pattern: re.Pattern[str], what: str) -> None:
    if not isinstance(name, str) or not pattern.fullmatch(name):
        raise _BrokenError(f"{what}: {name!r} is no name; it must match {pattern.pattern}")


def _check_address(address: Any, what: str) -> None:
    if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
        raise _BrokenError(f"{what}: {address!r} is not an address; write 'package.module:attribute'")
