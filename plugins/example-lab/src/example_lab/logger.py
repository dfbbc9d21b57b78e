"""The logger `status`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loggers import Logger

from example_lab.options import StatusOptions
from visioncore_engine.contracts import LoggerFacts

__all__ = ["Status"]


class Status(Logger):
    """Keeps one small file up to date: the last step, and the last value of everything that was logged.

    Another program may read it at any moment, because it is replaced as a whole. JSON has no NaN: a value that is not
    finite is null.

    Parameters
    ----------
    options
        What the run file says.
    facts
        The run folder, and whether the run goes on.
    """

    def __init__(self, options: StatusOptions, facts: LoggerFacts) -> None:
        super().__init__()
        self._path = facts.run_dir / options.file
        self._values: dict[str, float | None] = {}
        if facts.resume_id is not None and self._path.exists():
            self._values = json.loads(self._path.read_text(encoding="utf-8"))["values"]
        self.resume_id = "status"  # comes back as `facts.resume_id`, and so tells a resumed run from a fresh one

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "status"

    @property
    def version(self) -> str:
        """Nothing: the run folder is the version."""
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Ignore them: the resolved run stands in the run folder."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Take over values, and replace the file."""
        self._values |= {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        text = json.dumps({"step": step, "values": self._values}, indent=1, sort_keys=True, allow_nan=False)
        temporary = self._path.with_name(f"{self._path.name}.tmp")
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(self._path)
