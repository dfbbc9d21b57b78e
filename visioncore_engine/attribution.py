"""Whose code raised: the plugin nearest to where an exception came from."""

from __future__ import annotations

import traceback

from visioncore_engine.config import Resolved

__all__ = ["culprit_of"]


def culprit_of(error: BaseException, resolved: Resolved) -> str:
    """Name the plugin of the innermost frame that belongs to one: ``"plugin 'x' (x-lab 1.2), x.samplers:41: "``.

    Empty where no plugin's code is in the traceback.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    for frame, line in reversed(frames):
        module = str(frame.f_globals.get("__name__", ""))
        for plugin in resolved.registry.plugins:
            if plugin.module and (module == plugin.module or module.startswith(f"{plugin.module}.")):
                return f"plugin {plugin.name!r} ({plugin.distribution} {plugin.version}), {module}:{line}: "
    return ""
