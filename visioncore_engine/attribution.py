"""Whose code it is: the plugin nearest to where an exception came from, or where a thread stands."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable
from types import FrameType

from visioncore_engine.config import Resolved

__all__ = ["culprit_of", "missed", "standing_in"]

# How gloo and NCCL say that a process at the other end is gone.
_GONE = re.compile(r"(closed|reset) by peer|Broken pipe|remote process exited|ncclRemoteError")


def culprit_of(error: BaseException, resolved: Resolved, rank: int = 0) -> str:
    """Name whose code raised: ``"plugin 'x' (x-lab==1.2), x.samplers:41, called as Sampler.batch on rank 0: "``.

    The line is that of the innermost frame that belongs to a plugin; what it was called as is the outermost frame of
    the same plugin that led there from the engine. Empty where no plugin's code is in the traceback.
    """
    frames = list(reversed(list(traceback.walk_tb(error.__traceback__))))
    found = _plugin_frame(frames, resolved)
    if not found:
        return ""
    inside = frames[[frame for frame, _ in frames].index(found[1]) :]
    called = found[1]
    for frame, line in inside:
        if _module(frame).startswith(("visioncore_engine.", "pytorch_lightning.")):
            break
        owner = _plugin_frame([(frame, line)], resolved)
        if owner and _owner(owner[0]) == _owner(found[0]):
            called = frame
        elif owner:
            break
    return f"{found[0]}, called as {called.f_code.co_qualname} on rank {rank}: "


def missed(error: BaseException) -> str:
    """What a collective said of a process that is gone, in short; empty where the error is another one."""
    if not isinstance(error, RuntimeError) or not _GONE.search(str(error)):
        return ""
    return re.sub(r"^\[\S+\] ", "", re.split(r"\. |\n", str(error))[0])


def standing_in(frame: FrameType, resolved: Resolved) -> str:
    """Name the plugin, place and function in which a thread stands: ``"plugin 'x' (x-lab==1.2), x.y:41, X.hook"``.

    Where no plugin's code is on the stack, the innermost frame of the engine; else the innermost of all.
    """
    found = _plugin_frame(traceback.walk_stack(frame), resolved)
    if found:
        return f"{found[0]}, {found[1].f_code.co_qualname}"
    frames = list(traceback.walk_stack(frame))
    ours = [(inner, line) for inner, line in frames if _module(inner).startswith("visioncore_engine.")]
    inner, line = (ours or frames)[0]
    return f"no plugin's code, {_module(inner)}:{line}, {inner.f_code.co_qualname}"


def _plugin_frame(frames: Iterable[tuple[FrameType, int]], resolved: Resolved) -> tuple[str, FrameType] | None:
    """First of the frames that belongs to a plugin."""
    owners = {plugin.module: plugin for plugin in resolved.registry.plugins if plugin.module}
    named = {plugin.name: plugin for plugin in resolved.registry.plugins}
    owners |= {
        module: named[choice.plugin]
        for _, choice in resolved.choices()
        if (module := choice.component.build.partition(":")[0]) and choice.plugin in named
    }
    for frame, line in frames:
        for home, plugin in owners.items():
            if _module(frame) == home or _module(frame).startswith(f"{home}."):
                return f"plugin {plugin.name!r} ({plugin.origin}), {_module(frame)}:{line}", frame
    return None


def _owner(named: str) -> str:
    return named.rpartition(", ")[0]


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
