"""Where plugins come from: installed entry points and single files, in an order that no machine changes."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from visioncore_engine.errors import PluginError, Problem
from visioncore_engine.hookspecs import ENTRY_POINT_GROUP
from visioncore_engine.registry.installed import installed_points
from visioncore_engine.registry.loading import Found, load
from visioncore_engine.registry.lookup import Registry
from visioncore_engine.registry.plugin import Plugin, normalised
from visioncore_engine.registry.selection import Selection
from visioncore_engine.tracing import trace

__all__ = ["discover"]

# A plugin that may be loaded, and how.
_Candidate = tuple[Plugin, Callable[[], Any]]


def discover(
    *,
    allow: Iterable[str] = (),
    block: Iterable[str] = (),
    lock: str | os.PathLike[str] | None = None,
    files: Iterable[str | os.PathLike[str]] = (),
    entry_points: Iterable[Any] | None = None,
) -> Registry:
    """Find and load every plugin.

    Parameters
    ----------
    allow, block
        Plugins by name or distribution: those that may be imported (all, where `allow` is empty), and those that may
        not, which comes first.
    lock
        A file written by ``visioncore plugins --write-lock``: its plugins must be here exactly so, and no other is
        imported.
    files
        Single unpackaged files to load as plugins (``--plugin FILE.py``).
    entry_points
        Stands in for the installed entry points: objects with `name`, `value`, `dist` and `load`.

    Raises
    ------
    PluginError
        Where `allow` or `block` names no plugin, where something differs from the lock, or a file is missing or would
        hide a module; before any plugin is imported. A plugin that fails to load is not an error here: it is listed
        as broken.
    """
    candidates = _installed(entry_points) + sorted(map(_from_file, dict.fromkeys(map(Path, files))), key=_order)
    there = [plugin for plugin, _ in candidates]
    for plugin in there:
        trace(f"discovered plugin {plugin} in module {plugin.module!r}")
    selection = Selection(there, allow=allow, block=block, lock=lock)
    plugins: list[Plugin] = []
    every = Found()
    for plugin, importer in candidates:
        refusal = selection.refusal(plugin)
        if refusal:
            loaded, found = replace(plugin, status="blocked", error=refusal), Found()
        else:
            loaded, found = load(plugin, importer)
        trace(f"plugin {loaded}: {loaded.status} {loaded.error}".rstrip())
        plugins.append(loaded)
        every.entries += found.entries
        every.commands += found.commands
        every.sections += found.sections
        every.checks += found.checks
        every.data_checks += found.data_checks
    return Registry(
        plugins=tuple(plugins),
        entries=tuple(sorted(every.entries, key=lambda entry: (entry.kind, entry.name, *_place(entry.plugin)))),
        declared_commands=tuple(sorted(every.commands, key=lambda item: (item.value.name, *_place(item.plugin)))),
        declared_sections=tuple(every.sections),
        declared_checks=tuple(every.checks),
        declared_data_checks=tuple(every.data_checks),
    )


def _installed(entry_points: Iterable[Any] | None) -> list[_Candidate]:
    if entry_points is None:
        entry_points = installed_points(ENTRY_POINT_GROUP)
    # An editable install can leave one entry point twice; one name from two distributions is kept, and shown.
    unique = {(point.name, point.value, getattr(point.dist, "name", "")): point for point in entry_points}
    return sorted(map(_from_entry_point, unique.values()), key=_order)


def _order(candidate: _Candidate) -> tuple[str, ...]:
    plugin, _ = candidate
    return normalised(plugin.distribution), plugin.name, plugin.module


def _place(plugin: Plugin) -> tuple[str, str]:
    return plugin.name, normalised(plugin.distribution)


def _from_entry_point(point: Any) -> _Candidate:
    dist = point.dist
    plugin = Plugin(
        name=point.name,
        distribution="" if dist is None else dist.name,
        version="" if dist is None else dist.version,
        module=point.value.partition(":")[0].partition("[")[0].strip(),
        editable=_is_editable(dist),
    )
    return plugin, point.load


def _is_editable(dist: Any) -> bool:
    text = None if dist is None else dist.read_text("direct_url.json")
    try:
        return bool(json.loads(text)["dir_info"]["editable"]) if text else False
    except (ValueError, KeyError, TypeError):  # from an installer that writes it in a way we do not know
        return False


def _from_file(path: Path) -> _Candidate:
    where = str(path)
    if not path.is_file():
        raise PluginError(Problem(what="no such plugin file", where=where))
    name = path.stem
    if path.suffix != ".py" or not name.isidentifier():
        raise PluginError(Problem(what="a plugin file is named like a Python module, such as my_lab.py", where=where))
    path = path.resolve()
    if _hides_a_module(name, path):
        raise PluginError(Problem(what=f"the file would hide the module {name!r}", where=where, todo="rename the file"))
    return Plugin(name=name, module=name, source=str(path)), lambda: _import_file(name, path)


def _hides_a_module(name: str, path: Path) -> bool:
    if name in sys.modules:
        there = getattr(sys.modules[name], "__file__", None)
    else:
        spec = importlib.util.find_spec(name)
        if spec is None:
            return False
        there = spec.origin
    return there is None or Path(there).resolve() != path


def _import_file(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Registered before it runs, so that addresses such as ":Sampler" and pickles of its classes find it.
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before
        raise
    return module
