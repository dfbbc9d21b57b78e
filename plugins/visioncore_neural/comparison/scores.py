"""Scores per unit of one run, as its table ``units`` holds them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visioncore_engine.errors import DataError, Problem, UsageError, nearest
from visioncore_engine.report import ReportContext, numbers, run_overview

__all__ = ["RunScores", "Unit", "read_scores"]

Unit = tuple[str, str]
"""Session, and id of the unit in it."""

_SEED = re.compile(r"(?:[-_]s?|[-_]?seed)[-_=]?(\d+)$", re.IGNORECASE)
_COUNTED = ("num_valid", "spikes")


@dataclass(frozen=True)
class RunScores:
    """One run on one split.

    Attributes
    ----------
    path, label
        The run folder, and what to call it: the folder's name where the run file chose it, else the run's name.
    seed
        The run's seed.
    config
        What the run is apart from its seeds, its place and its loggers, by dotted key.
    values
        The score of each unit; NaN where it could not be scored.
    counted
        Valid frames and spikes that each unit was scored on, as they stand in the table.
    fingerprints
        Content of each session's recording.
    """

    path: Path
    label: str
    seed: int
    config: Mapping[str, Any]
    values: Mapping[Unit, float]
    counted: Mapping[Unit, tuple[str, ...]]
    fingerprints: Mapping[str, str]

    @property
    def stem(self) -> str:
        """The label, without the run's seed where that stands at its end (``film-seed3``, ``film_3``)."""
        found = _SEED.search(self.label)
        return self.label[: found.start()] if found and int(found[1]) == self.seed and found.start() else self.label


def read_scores(path: Path, metric: str, split: str) -> RunScores:
    """Read a run's scores.

    Raises
    ------
    DataError
        Where the run has no table of units, or none for the split.
    UsageError
        Where the table has no such score.
    """
    context = ReportContext(path)
    rows = context.tables.get("units")
    if not rows:
        todo = "name the evaluator `units` in the run: visioncore evaluate RUN --set evaluate.units.name=units"
        raise DataError(Problem(where=str(path / "units.csv"), what="the run has no table of units", todo=todo))
    own = [row for row in rows if row["split"] == split]
    if not own:
        splits = ", ".join(dict.fromkeys(row["split"] for row in rows))
        todo = f"score it: visioncore evaluate {path} --split {split}"
        what = f"its units are not scored on split {split!r}; scored are: {splits}"
        raise DataError(Problem(where=str(path / "units.csv"), what=what, todo=todo))
    if metric not in own[0]:
        close = nearest(metric, own[0])
        todo = (f"did you mean {close!r}? " if close else "") + f"scores: {', '.join(own[0])}"
        raise UsageError(Problem(where=str(path / "units.csv"), key="--metric", what=f"no {metric!r} here", todo=todo))
    units: list[Unit] = [(row["session"], row["unit"]) for row in own]
    found = run_overview(path)
    return RunScores(
        path=path,
        label=path.name if context.run.get("run", {}).get("dir") else found.name,
        seed=int(context.record.get("seed", context.run.get("seed", 0))),
        config={key: value for key, value in found.config.items() if _decides(key)},
        values=dict(zip(units, numbers(own, metric).tolist(), strict=True)),
        counted={unit: tuple(row.get(name, "") for name in _COUNTED) for unit, row in zip(units, own, strict=True)},
        fingerprints=dict(context.record.get("data", {})),
    )


def _decides(key: str) -> bool:
    """Whether a value makes another condition: seeds do not, nor what is only written down."""
    first, _, _ = key.partition(".")
    return key.rpartition(".")[2] != "seed" and first not in ("loggers", "launch", "plugins", "policies")
