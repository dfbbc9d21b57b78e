"""Folders for what scenes write; they go when the process ends."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

__all__ = ["fresh_folder"]


def fresh_folder() -> Path:
    """Make an empty folder that is deleted when the process ends."""
    return Path(tempfile.mkdtemp(dir=_root()))


@cache
def _root() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="visioncore-testing-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
