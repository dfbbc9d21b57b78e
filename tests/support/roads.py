"""Both roads of what may be compiled, in turns."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from visioncore_engine.data import native
from visioncore_engine.errors import ConfigError

__all__ = ["ROADS", "road"]

ROADS = ("torch", "compiled")


@contextmanager
def road(mode: str) -> Iterator[None]:
    """Gather in a given way, and afterwards as before; a test that needs a compiler is skipped where there is none."""
    before = native._mode
    try:
        native.use(mode)
    except ConfigError as error:
        if any(map(shutil.which, ("cc", "gcc", "clang"))):
            raise
        pytest.skip(str(error))
    try:
        yield
    finally:
        native.use(before)
