"""Whose code raised: the plugin nearest to where an exception came from."""

from __future__ import annotations

import traceback

from visioncore_engine.config import Resolved

__all__ = ["culprit_of"]


def culprit_of(error: BaseException, resolved: Resolved) -> str:
    """Name the plugin of the innermost frame that belongs to one: ``"plugin 'x' (x-lab==1.2), x.samplers:41: "``.

    Empty where no plugin's code is in the traceback.
    """
    owners = {plugin.module: plugin for plugin in resolved.registry.plugins if plugin.module}
    named = {plugin.name: plugin for plugin in resolved.registry.plugins}
    owners |= {
        module: named[choice.plugin]
        for _, choice in resolved.choices()
        if (module := choice.component.build.partition(":")[0]) and choice.plugin in named
    }
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        module = str(frame.f_globals.get("__name__", ""))
        for home, plugin in owners.items():
            if module == home or module.startswith(f"{home}."):
                return f"plugin {plugin.name!r} ({plugin.origin}), {module}:{line}: "
    return ""
