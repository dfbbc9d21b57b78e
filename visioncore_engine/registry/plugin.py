"""What discovery finds: plugins, and what each of them declares."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from visioncore_engine.component import Command, Component, resolve_address
from visioncore_engine.errors import PluginError, Problem
from visioncore_engine.tracing import traced

__all__ = ["Declared", "Entry", "Plugin", "describe_error", "load_address", "normalised"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """One plugin, whether or not it could be loaded.

    Attributes
    ----------
    name
        Name of the entry point, or stem of the file: what a run file writes before the colon of ``plugin:name``.
    distribution, version
        The installed distribution; empty for a single file.
    module
        Module that holds the declarations.
    source
        File of that module; empty where it was not imported.
    editable
        The distribution is installed in editable mode: its version does not say which code runs.
    status
        ``loaded``, ``broken`` (see `error`) or ``blocked`` (never imported).
    error
        Why a broken plugin cannot be used, or a blocked one was set aside.
    warnings
        What a loaded plugin should mend, such as importing torch when it is only listed.
    """

    name: str
    distribution: str = ""
    version: str = ""
    module: str = ""
    source: str = ""
    editable: bool = False
    status: Literal["loaded", "broken", "blocked"] = "loaded"
    error: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """``distribution==version``, or the file."""
        return f"{self.distribution}=={self.version}" if self.distribution else (self.source or self.module)

    @property
    def names(self) -> frozenset[str]:
        """What the plugin may be blocked or allowed by: its name and its distribution, spelled as `normalised` does."""
        return frozenset(normalised(name) for name in (self.name, self.distribution) if name)

    def __str__(self) -> str:
        return f"{self.name} ({self.origin})"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A component with the plugin that declares it.

    Attributes
    ----------
    kind, component, plugin
        What is declared, and by whom.
    home
        Module of the declaration, in which addresses such as ``":attribute"`` are looked up.
    refused
        Why the component cannot be used although its plugin is loaded: another contract version.
    """

    kind: str
    component: Component
    plugin: Plugin
    home: str
    refused: str = ""

    @property
    def name(self) -> str:
        """Name of the component."""
        return self.component.name

    @property
    def names(self) -> tuple[str, ...]:
        """Name of the component, and what it was called before."""
        return self.component.name, *self.component.former_names

    @property
    def reference(self) -> str:
        """The unambiguous spelling, ``plugin:name``."""
        return f"{self.plugin.name}:{self.name}"


@dataclass(frozen=True)
class Declared(Generic[T]):
    """Anything else that a plugin declares: a command, the address of a report section, a check."""

    value: T
    plugin: Plugin
    home: str

    def load(self) -> Any:
        """Import what the declaration names (a command's `build`, a section's address).

        Raises
        ------
        PluginError
            Where the import fails; names the plugin.
        """
        address = self.value.build if isinstance(self.value, Command) else str(self.value)
        return load_address(address, self.plugin, self.home)


def normalised(name: str) -> str:
    """Spell a name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def load_address(address: str, plugin: Plugin, home: str) -> Any:
    """Import what a plugin's address names; whatever that raises becomes a `PluginError` which names the plugin."""
    try:
        with traced(f"imported {address!r} of plugin {plugin}"):
            return resolve_address(address, home)
    except (Exception, SystemExit) as error:
        raise PluginError(
            Problem(what=f"plugin {plugin}: cannot import {address!r}", given=describe_error(error))
        ) from error


def describe_error(error: BaseException) -> str:
    """One line: type, message, and the file and line where it was raised."""
    if isinstance(error, SystemExit):
        text = f"SystemExit: it tried to end the process (sys.exit({error.code!r}))"
    else:
        text = f"{type(error).__name__}: {error}".replace("\n", " ")
    trail = error.__traceback__
    while trail is not None and trail.tb_next is not None:
        trail = trail.tb_next
    where = trail.tb_frame.f_code.co_filename if trail is not None else ""
    return f"{text} ({where}:{trail.tb_lineno})" if trail is not None and not where.startswith("<") else text
