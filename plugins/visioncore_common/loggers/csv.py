"""``metrics.csv``: one row per logged step, one column per value."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from pytorch_lightning.utilities import rank_zero_only

from visioncore_common.loggers.base import RunLogger, storage
from visioncore_common.loggers.rows import kept_rows
from visioncore_engine.contracts import LoggerFacts
from visioncore_engine.options import Options

__all__ = ["CSV"]


class CSV(RunLogger):
    """Writes a wide table that spreadsheets and `pandas.read_csv` take as it is.

    A row is in the file when `log_metrics` returns; values that are logged later for the same step join its row. A new
    column means that the file is written anew beside the old one and takes its place: that happens a few times in a
    run, as most values appear at the first validation. Rows beyond the checkpoint that a run resumes from are dropped.
    """

    writes_at_once = (
        True  # it is the record of the run: no row may be dropped, and a row takes well under a millisecond
    )

    def __init__(self, options: Options, facts: LoggerFacts) -> None:
        super().__init__()
        del options  # it has none
        self.resume_id = facts.resume_id
        self._path = facts.run_dir / "metrics.csv"
        self._columns: list[str] = []
        self._row: dict[str, str] = {}
        self._start = 0  # byte at which the last row starts
        self._num_rows: int | None = None  # None until the file was looked at

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write values of a step.

        Raises
        ------
        StorageError
            Where the disk is full or read-only.
        """
        row = {"step": str(step if step is not None else 0)} | {name: repr(value) for name, value in metrics.items()}
        with storage(self._path):
            if self._num_rows is None:
                self._open(int(row["step"]))
            merged = bool(self._row) and row["step"] == self._row["step"]
            self._row = self._row | row if merged else row
            self._num_rows = (self._num_rows or 0) + (not merged)
            new = [name for name in row if name not in self._columns]
            if new:
                kept = _read(self._path)
                self._columns += new
                self._replace([*(kept[:-1] if merged else kept), self._row])
            else:
                self._append(merged=merged)
        self.resume_id = str(self._num_rows)

    def _open(self, first_step: int) -> None:
        """Keep what was logged before the checkpoint that the run resumes from."""
        rows = ((_step(row), row) for row in _read(self._path))
        kept = list(kept_rows(rows, self.resume_id, first_step))
        self._num_rows = len(kept)
        if not kept:
            self._path.unlink(missing_ok=True)
        else:
            self._columns = [name for name in kept[0] if any(row[name] for row in kept)]
            self._row = {name: value for name, value in kept[-1].items() if value}
            self._replace(kept)

    def _append(self, *, merged: bool) -> None:
        with self._path.open("r+b") as file:
            if merged:
                file.truncate(self._start)
            self._start = file.seek(0, 2)
            file.write(self._line(self._row))

    def _replace(self, rows: Iterable[Mapping[str, str]]) -> None:
        lines = [self._line({name: name for name in self._columns}), *(self._line(row) for row in rows)]
        temporary = self._path.with_name(self._path.name + ".tmp")
        temporary.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(b"".join(lines))
        temporary.replace(self._path)
        self._start = sum(map(len, lines[:-1]))

    def _line(self, row: Mapping[str, str]) -> bytes:
        cells = _Line()
        csv.writer(cells, lineterminator="\n").writerow([row.get(name, "") for name in self._columns])
        return cells.text.encode()


class _Line:
    """Where `csv.writer` leaves one line."""

    text = ""

    def write(self, text: str) -> None:
        self.text = text


def _read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        # A row that a crash cut short lacks its last cells: they read as empty.
        return [{name: value or "" for name, value in row.items() if name} for row in csv.DictReader(file)]


def _step(row: Mapping[str, str]) -> int | None:
    text = row.get("step", "")
    return int(text) if text.isdigit() else None
