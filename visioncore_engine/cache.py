"""What evaluators found, kept in the run folder under everything that it depends on: a stale result is never read."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from visioncore_engine.checkpoint import content_digest
from visioncore_engine.config import Resolved
from visioncore_engine.contracts import Result, Table
from visioncore_engine.folder import write_text
from visioncore_engine.options import Choice
from visioncore_engine.record import engine
from visioncore_engine.registry import contents

__all__ = ["EvaluationCache"]


@dataclass(frozen=True)
class EvaluationCache:
    """Results by content.

    Attributes
    ----------
    folder
        Where they are kept.
    resolved
        The run: its data, metrics and loader, and the code of every plugin that it uses, are part of each key.
    checkpoint
        The file: its bytes are part of each key.
    fingerprints
        Content of each group's data, part of each key.
    """

    folder: Path
    resolved: Resolved
    checkpoint: Path
    fingerprints: dict[str, str]

    def key(self, choice: Choice, split: str, files: str = "") -> str:
        """SHA-256 over everything that a result depends on; `files` is the `fingerprint` of the evaluator."""
        return _digest({**self._common, "evaluator": choice.dump(), "split": split, "files": files})

    def read(self, choice: Choice, split: str, files: str = "") -> Result | None:
        """Result of an evaluator on a split; None where there is none for just this content."""
        path = self._path(choice, split)
        if not path.is_file():
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:  # cut off by a crash: it is made anew
            return None
        if found.get("key") != self.key(choice, split, files):
            return None
        return _result(found["result"])

    def write(self, choice: Choice, split: str, result: Result, files: str = "") -> None:
        """Keep a result in place of the one that was kept for the same evaluator and split."""
        text = json.dumps({"key": self.key(choice, split, files), "result": _plain(result)}, default=_number)
        write_text(self._path(choice, split), text)

    def _path(self, choice: Choice, split: str) -> Path:
        return self.folder / f"{split}-{choice.id}.json"

    @cached_property
    def _common(self) -> dict[str, Any]:
        run = self.resolved.run
        used = {(choice.plugin, choice.origin) for _, choice in self.resolved.choices()}
        plugins = [plugin for plugin in self.resolved.registry.plugins if (plugin.name, plugin.origin) in used]
        return {
            "checkpoint": content_digest(self.checkpoint),
            "fingerprints": self.fingerprints,
            "data": run.data.dump(),
            "metrics": [choice.dump() for choice in run.metrics],
            "loader": run.loader.model_dump(mode="json"),
            "code": {plugin.name: contents(plugin).hash for plugin in (*plugins, engine())},
            "torch": torch.__version__,
            "device": run.trainer.accelerator if torch.cuda.is_available() else "cpu",
        }


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _plain(result: Result) -> dict[str, Any]:
    return {
        "scalars": result.scalars,
        "columns": {name: values.tolist() for name, values in result.columns.items()},
        "tables": {name: {"columns": table.columns, "rows": table.rows} for name, table in result.tables.items()},
        "figures": {name: base64.b64encode(picture).decode() for name, picture in result.figures.items()},
    }


def _result(plain: dict[str, Any]) -> Result:
    return Result(
        scalars=plain["scalars"],
        columns={name: np.array(values, dtype=np.float64) for name, values in plain["columns"].items()},
        tables={name: Table(tuple(table["columns"]), table["rows"]) for name, table in plain["tables"].items()},
        figures={name: base64.b64decode(text) for name, text in plain["figures"].items()},
    )


def _number(value: Any) -> Any:
    """Plain value of a NumPy scalar."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a table holds plain values, not {type(value).__name__}")
