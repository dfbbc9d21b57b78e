"""What a report section may look at: the files of a run folder, and the trained model with its data when asked for."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visioncore_engine.folder import RunFolder
from visioncore_engine.report.logged import Logged, read_logged

if TYPE_CHECKING:
    from visioncore_engine.config import Resolved
    from visioncore_engine.contracts import Dataset, Evaluation
    from visioncore_engine.registry import Registry
    from visioncore_engine.restore import TrainedModel

__all__ = ["ReportContext", "numbers"]

_NOT_TABLES = ("metrics.csv",)


class ReportContext:
    """A run as its report sees it. Files are read once, at first use; a damaged one counts as missing and is told.

    Parameters
    ----------
    run_dir
        The run folder.
    registry
        Plugins to use; by default those that are installed and that the run does not block.

    Attributes
    ----------
    problems
        What could not be read so far, a sentence each.
    """

    def __init__(self, run_dir: Path, registry: Registry | None = None) -> None:
        self.run_dir = run_dir
        self.problems: list[str] = []
        self._folder = RunFolder(run_dir)
        self._registry = registry

    @cached_property
    def scores(self) -> Mapping[str, Mapping[str, float]]:
        """Scores per split, ``{split: {name: value}}``; NaN where nothing could be scored."""
        found = self._json("scores.json")
        return {split: values for split, values in found.items() if isinstance(values, dict)}

    @cached_property
    def tables(self) -> Mapping[str, Sequence[Mapping[str, str]]]:
        """Tables that metrics and evaluators wrote, by name: rows of texts as in the file, with a `split`."""
        found = {}
        for path in sorted(self.run_dir.glob("*.csv")):
            if path.name in _NOT_TABLES:
                continue
            try:
                with path.open(newline="", encoding="utf-8") as file:
                    rows = list(csv.DictReader(file))
            except (OSError, UnicodeDecodeError, csv.Error) as error:
                self.problems.append(f"{path.name} cannot be read: {error}")
                continue
            if rows and "split" in rows[0]:
                found[path.stem] = rows
        return found

    @cached_property
    def record(self) -> Mapping[str, Any]:
        """The record of the run: plugins, versions, data, hardware."""
        return self._json("record.json")

    @cached_property
    def run_text(self) -> str:
        """The resolved run as it stands in ``run.yaml``; empty where it is missing."""
        path = self._folder.run_file
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    @cached_property
    def run(self) -> Mapping[str, Any]:
        """The resolved run as plain values, without looking anything up."""
        import yaml

        try:
            run = yaml.safe_load(self.run_text)
        except yaml.YAMLError as error:
            self.problems.append(f"run.yaml cannot be read: {error}")
            run = None
        return run if isinstance(run, dict) else {}

    @cached_property
    def logged(self) -> Logged:
        """Every logged value."""
        return read_logged(self.run_dir)

    @cached_property
    def registry(self) -> Registry:
        """The plugins."""
        from visioncore_engine.errors import EngineError
        from visioncore_engine.registry import discover

        if self._registry is not None:
            return self._registry
        try:
            return self.resolved.registry
        except EngineError:  # a report must be possible where the run's plugins no longer are
            return discover()

    @cached_property
    def resolved(self) -> Resolved:
        """The run with its components.

        Raises
        ------
        UserError
            Where the folder has no run file, or its components are not installed here.
        """
        from visioncore_engine.config import resolve

        return resolve([self._folder.run_file], registry=self._registry)

    @cached_property
    def model(self) -> TrainedModel:
        """The best checkpoint of the run, else the last one.

        Raises
        ------
        UserError
            Where there is none, or it cannot be used.
        """
        from visioncore_engine.restore import load

        return load(self._checkpoint, registry=self.registry)

    def evaluation(self, split: str = "validation") -> Evaluation:
        """Model and data of one split; opened at the first call, and the same for every section.

        Its `scores` are empty: what was scored stands in `scores` and `tables`.

        Raises
        ------
        UserError
            Where the data or the checkpoint are not there, or do not belong together.
        """
        from visioncore_engine.evaluation import open_split

        return open_split(self.resolved.run, self._dataset, self.model, split)

    @cached_property
    def _dataset(self) -> Dataset:
        from visioncore_engine.build import build_dataset
        from visioncore_engine.checkpoint import read_checkpoint
        from visioncore_engine.describe import compare_groups

        path = self._checkpoint
        saved = read_checkpoint(path)["visioncore"]
        dataset = build_dataset(self.resolved.run, saved["data_state"])
        compare_groups(dataset.groups, self.model.groups.values(), str(path))
        here = dataset.fingerprints()
        drifted = [group for group, fingerprint in saved["fingerprints"].items() if here.get(group) != fingerprint]
        if drifted:
            names = ", ".join(drifted)
            self.problems.append(f"The data are no longer those that the model was trained on: {names}.")
        return dataset

    @cached_property
    def _checkpoint(self) -> Path:
        best = self._folder.checkpoints / "best.ckpt"
        return best if best.is_file() else self._folder.checkpoint("last")

    def _json(self, name: str) -> Mapping[str, Any]:
        path = self.run_dir / name
        if not path.is_file():
            return {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            self.problems.append(f"{name} cannot be read: {error}")
            return {}
        return found if isinstance(found, dict) else {}


def numbers(rows: Sequence[Mapping[str, Any]], column: str) -> np.ndarray:
    """Column of a table as numbers, float64 (rows,); NaN where a cell is empty, no number, or not there."""

    def number(row: Mapping[str, Any]) -> float:
        try:
            return float(row.get(column, "nan"))
        except (TypeError, ValueError):
            return float("nan")

    return np.array([number(row) for row in rows], dtype=np.float64)
