"""Waiting with an end, for what other processes do."""

from __future__ import annotations

import time

__all__ = ["until"]


def until(what, true, *, seconds=120.0, shown=str):
    """Wait until `true()` is, and return it; where it does not become so in time, tell what was waited for."""
    end = time.monotonic() + seconds
    while not (found := true()):
        if time.monotonic() > end:
            raise TimeoutError(f"after {seconds:.0f} s still not: {what}\n{shown()}")
        time.sleep(0.05)
    return found
