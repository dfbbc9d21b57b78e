"""Somebody who follows a page: a folder with the run files, in which what the page says is typed.

What is typed is done in a forked child, so that torch is imported once; that a command starts by itself is proven by
those of clean environments and installed wheels.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning  # noqa: F401 - takes seconds, and every child has it
from forked import Ended, fork_workers, forked

from visioncore_engine.cli import main

__all__ = ["Reader"]

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 240.0


@dataclass(frozen=True)
class Reader:
    """A folder in which commands are typed, and one with the packages that are installed beside the engine."""

    home: Path
    site: Path

    def __post_init__(self) -> None:
        for name in ("configs", "benchmarks"):
            shutil.copytree(ROOT / name, self.home / name, ignore=shutil.ignore_patterns("__pycache__"))

    def visioncore(self, *arguments: str) -> Ended:
        """Type a command."""

        return self._typed(lambda: main(list(arguments)))

    def python(self, code: str, *arguments: str) -> Ended:
        """Run a snippet."""

        def snippet() -> int:
            sys.argv = ["-c", *arguments]
            exec(compile(code, "<snippet>", "exec"), {"__name__": "__main__"})
            return 0

        return self._typed(snippet)

    def _typed(self, work) -> Ended:
        def there() -> int:
            os.chdir(self.home)
            os.environ |= {"PYTHONPATH": str(self.site), "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}
            sys.path[:0] = ["", str(self.site)]
            fork_workers()  # a sweep's trainings too
            return work()

        return forked(there, self.home.parent, limit=SECONDS)
