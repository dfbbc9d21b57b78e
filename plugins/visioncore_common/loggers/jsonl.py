"""``metrics.jsonl``: one JSON object per call, for machines."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from pytorch_lightning.utilities import rank_zero_only

from visioncore_common.loggers.base import RunLogger, storage
from visioncore_common.loggers.rows import kept_rows
from visioncore_engine.contracts import LoggerFacts
from visioncore_engine.options import Options

__all__ = ["JSONL"]


class JSONL(RunLogger):
    """Appends ``{"step": …, <name>: <value>, …}``, in the file when `log_metrics` returns.

    JSON has no NaN: a value that is not finite is written as null. Lines beyond the checkpoint that a run resumes from
    are dropped.
    """

    writes_at_once = True  # as for the CSV

    def __init__(self, options: Options, facts: LoggerFacts) -> None:
        super().__init__()
        del options  # it has none
        self.resume_id = facts.resume_id
        self._path = facts.run_dir / "metrics.jsonl"
        self._num_lines: int | None = None  # None until the file was looked at

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write values of a step.

        Raises
        ------
        StorageError
            Where the disk is full or read-only.
        """
        step = 0 if step is None else step
        values = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        with storage(self._path):
            if self._num_lines is None:
                self._num_lines = self._open(step)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step} | values, allow_nan=False) + "\n")
        self._num_lines += 1
        self.resume_id = str(self._num_lines)

    def _open(self, first_step: int) -> int:
        """Keep what was logged before the checkpoint that the run resumes from; returns the number of lines."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._path.exists():
            return 0
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = list(kept_rows(((_step(line), line) for line in lines), self.resume_id, first_step))
        temporary = self._path.with_name(self._path.name + ".tmp")
        temporary.write_text("".join(kept), encoding="utf-8")
        temporary.replace(self._path)
        return len(kept)


def _step(line: str) -> int | None:
    try:
        step = json.loads(line)["step"] if line.endswith("\n") else None
    except (ValueError, KeyError, TypeError):  # a crash cut the line short: what follows it is not ours
        return None
    return int(step) if step is not None else None
