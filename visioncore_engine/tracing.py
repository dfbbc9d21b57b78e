"""What happens, and how long it took, on standard error where ``VISIONCORE_TRACE=1`` asks for it.

Listing, importing, choosing, building and every hook call are told; secrets are not. Where nobody asks, nothing is
measured, and no line of a training step looks here.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from visioncore_engine.secrets import redact_command

__all__ = ["trace", "traced"]


def trace(text: str) -> None:
    """Say that something happened."""
    if os.environ.get("VISIONCORE_TRACE") == "1":
        (shown,) = redact_command([text])
        print(f"visioncore: {shown}", file=sys.stderr)  # noqa: T201 - tracing is asked for, and works before any logger


@contextmanager
def traced(text: str) -> Iterator[None]:
    """Say that something was done, and the milliseconds that it took; also where it fails."""
    if os.environ.get("VISIONCORE_TRACE") != "1":
        yield
        return
    began, ended = time.perf_counter(), ""
    try:
        yield
    except BaseException as error:
        ended = f": {type(error).__name__}"
        raise
    finally:
        trace(f"{1000 * (time.perf_counter() - began):.2f} ms: {text}{ended}")
