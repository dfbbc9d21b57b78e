"""What loggers meet: rows of logged values, some of which are not finite, a break, and a secret in the run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from visioncore_engine.contracts import LoggerFacts
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.folder import fresh_folder

__all__ = ["ROWS", "SECRET", "LoggerScene", "contents", "log", "scene", "texts"]

SECRET = "open-sesame-4711"  # noqa: S105 - nobody's: it is looked for in what loggers write
ROWS: tuple[tuple[int, Mapping[str, float]], ...] = (
    (0, {"train/loss": 3.0}),
    (1, {"train/loss": 2.5, "lr": 0.125}),
    (2, {"train/loss": math.nan}),
    (3, {"train/loss": math.inf}),
    (3, {"val/loss": 2.25, "val/tiny": -1.5}),
    (4, {"train/loss": 1.75}),
    (5, {"train/loss": 1.5}),
)
_TEXT = (".csv", ".json", ".jsonl", ".md", ".toml", ".tsv", ".txt", ".yaml", ".yml")


@dataclass
class LoggerScene:
    """A run folder, and the facts of a logger."""

    facts: LoggerFacts = field(
        default_factory=lambda: LoggerFacts(
            run_dir=fresh_folder(),
            run_name="tiny",
            config={"seed": 1, "data": {"name": "tiny", "password": SECRET, "api_key": SECRET}},
        )
    )

    def resumed(self, resume_id: str | None) -> LoggerFacts:
        """Facts in a process that goes on with the run."""
        return replace(self.facts, resume_id=resume_id)

    def probe(self, built: Logger) -> Mapping[str, Any]:
        """Texts that it leaves in the run folder after a few rows, and how many other files."""
        log(built, ROWS)
        built.finalize("success")
        return contents(self.facts.run_dir)


def scene(case: Case) -> LoggerScene:
    """Make the scene."""
    return LoggerScene()


def log(logger: Logger, rows: Iterable[tuple[int, Mapping[str, float]]]) -> None:
    """Log rows as the engine does."""
    for step, values in rows:
        logger.log_metrics(dict(values), step)
        logger.save()


def texts(folder: Path) -> dict[str, str]:
    """Text files in a folder, with what stands in them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in _TEXT)
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in files}


def contents(folder: Path) -> dict[str, Any]:
    """Text files, and how many others there are: their names and bytes may hold times and hosts."""
    found = texts(folder)
    others = sum(path.is_file() for path in folder.rglob("*")) - len(found)
    return {"texts": found, "other files": others}
