"""Which components there are, and who provides them.

`discover` reads the entry points of the group ``visioncore_engine`` (and single files given with ``--plugin``), loads
each plugin by itself and returns a frozen `Registry`. A plugin that cannot be used is listed with its reason and
harms nobody else; one name from two plugins harms nobody until a run selects it. Nothing depends on the order in
which plugins are found. Nothing here imports pydantic or torch.
"""

from __future__ import annotations

from visioncore_engine.registry.contents import contents, module_file
from visioncore_engine.registry.discovery import discover
from visioncore_engine.registry.lock import to_text
from visioncore_engine.registry.lookup import Registry
from visioncore_engine.registry.plugin import Declared, Entry, Plugin, describe_error, load_address

__all__ = [
    "Declared",
    "Entry",
    "Plugin",
    "Registry",
    "contents",
    "describe_error",
    "discover",
    "load_address",
    "module_file",
    "to_text",
]
