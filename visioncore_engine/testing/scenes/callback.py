"""What callbacks meet: a whole tiny run, twelve steps and three validations long."""

from __future__ import annotations

import contextlib
import io
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from visioncore_engine.contracts import CallbackFacts
from visioncore_engine.errors import EngineError
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.folder import fresh_folder
from visioncore_engine.testing.tiny import STEPS, TinyRun
from visioncore_engine.testing.toys import giving

__all__ = ["CallbackScene", "own_files", "scene"]

_NUMBER = re.compile(r"\d[\d.e+-]*")
_OWN = ("checkpoints", "log.txt", "record.json", "report.html", "run.yaml", "scores.json", "stacks")


@dataclass
class CallbackScene:
    """A folder for a run, and the facts of that run."""

    folder: Path = field(default_factory=fresh_folder)

    @property
    def facts(self) -> CallbackFacts:
        """What the engine would tell the callback."""
        return CallbackFacts(self.folder / "run", "val/tiny", "min", STEPS, STEPS // 3)

    def train(self, callback: pl.Callback) -> TinyRun:
        """Train with a callback that was built; returns the run."""
        run = TinyRun(self.folder, {"callbacks": [{"name": "visioncore_testing:tiny_given"}]})
        with giving(callback):
            run.train()
        return run

    def probe(self, built: pl.Callback) -> Mapping[str, Any]:
        """What a run with it leaves: weights, state, files and lines, in which numbers may be times."""
        with _heard() as lines:
            try:
                weights: Any = self.train(built).weights()
                ended = ""
            except EngineError as error:
                weights, ended = {}, _NUMBER.sub("#", str(error).replace(str(self.folder), ""))
        state = built.state_dict()
        files = own_files(self.folder / "run")
        return {"weights": weights, "ended": ended, "state": {built.state_key: state}, "files": files, "lines": lines}


def own_files(run_dir: Path) -> dict[str, str]:
    """Files in a run folder that the engine itself does not write, with their text."""
    return {
        path.relative_to(run_dir).as_posix(): path.read_bytes().decode(errors="replace")
        for path in sorted(run_dir.rglob("*"))
        if path.is_file() and path.relative_to(run_dir).parts[0] not in _OWN
    }


@contextlib.contextmanager
def _heard() -> Iterator[list[str]]:
    """Collect what is written to the streams and to Python's logging, numbers blotted out."""
    lines: list[str] = []
    out, err = io.StringIO(), io.StringIO()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if not record.name.startswith(("pytorch_lightning", "lightning", "torch", "matplotlib")):
                lines.append(f"log: {_NUMBER.sub('#', record.getMessage())}")

    handler, root = Handler(level=logging.INFO), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        for name, stream in (("out", out), ("err", err)):
            lines += [f"{name}: {_NUMBER.sub('#', line)}" for line in stream.getvalue().splitlines()]


def scene(case: Case) -> CallbackScene:
    """Make the scene."""
    return CallbackScene()
