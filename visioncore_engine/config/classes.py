"""The options class of a component, imported and held to what every options class promises."""

from __future__ import annotations

from visioncore_engine.component import KINDS, resolve_address
from visioncore_engine.errors import PluginError
from visioncore_engine.options import Options
from visioncore_engine.registry import Entry, load_address

__all__ = ["options_class"]

_PROMISES = {"extra": "forbid", "frozen": True, "strict": True, "allow_inf_nan": False}


def options_class(entry: Entry) -> type[Options]:
    """Import the options class of a component.

    Raises
    ------
    PluginError
        Where it cannot be imported, or does not keep what the kind's options promise.
    """
    kind = KINDS[entry.kind]
    base: type[Options] = resolve_address(kind.options)
    if not entry.component.options:
        return base
    found = load_address(entry.component.options, entry.plugin, entry.home)
    what = f"plugin {entry.plugin}: options {entry.component.options!r} of {entry.kind} {entry.name!r}"
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PluginError(f"{what} must be a class derived from {kind.options}")
    loosened = [name for name, value in _PROMISES.items() if found.model_config.get(name) != value]
    if loosened:
        raise PluginError(f"{what} must keep the settings of Options: {', '.join(loosened)}")
    reserved = sorted({"id", "name"} & set(found.model_fields))
    if reserved:
        raise PluginError(f"{what} may not have a field {reserved[0]!r}: it is a word of every block")
    return found
