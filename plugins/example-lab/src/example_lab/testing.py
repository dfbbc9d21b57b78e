"""What the laws of a kind need to know of some components here: files, recordings and options without a default."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from example_lab.sheet import Sheet
from visioncore_engine.contracts import GroupSpec, ModelFacts, PreparationFacts, ReaderFacts, TargetSpec
from visioncore_engine.launch import Job, LauncherFacts
from visioncore_engine.testing import Case
from visioncore_engine.testing.folder import fresh_folder
from visioncore_engine.testing.scenes.dataset import DatasetScene
from visioncore_engine.testing.scenes.launcher import ENVIRONMENTS, LauncherScene, outcome
from visioncore_engine.testing.scenes.model import ModelScene
from visioncore_engine.testing.scenes.preparation import PreparationScene
from visioncore_engine.testing.scenes.reader import ReaderScene

__all__ = ["CASES", "preparation_scene", "reader_scene"]

_COLUMNS = ("light", "sound", "rate", "width", "split", "other")


def _rows(seed: int, held_out: int = 0) -> np.ndarray:
    """Numbers of a sheet with gaps; `held_out` is the seed of the rows that are not trained on."""
    split = np.repeat([0.0, 1.0, 2.0], [30, 8, 8])
    drawn = []
    for number in (seed, held_out or seed):
        draws = np.random.default_rng(number)
        values = draws.normal(3.0, 2.0, size=(len(split), 4))
        values[draws.random(values.shape) < 0.1] = np.nan
        values[0] = 7.0
        drawn.append(values)
    values = np.where(split[:, None] == 0, *drawn)
    return np.column_stack([values, split, (split + 1) % 3])


@cache
def _folder(seed: int, held_out: int = 0) -> str:
    folder = fresh_folder()
    for number, name in enumerate(("m1", "m2"), 1):
        rows = _rows(10 * seed + number, 10 * held_out + number if held_out else 0)
        lines = [",".join("" if np.isnan(value) else repr(float(value)) for value in row) for row in rows]
        (folder / f"{name}.csv").write_text("\n".join([",".join(_COLUMNS), *lines, ""]), encoding="utf-8")
    return str(folder)


def reader_scene(case: Case) -> ReaderScene:
    """Scene of a reader of sheets: a file of two columns with gaps."""
    path, gaps = fresh_folder() / "m1.csv", ("", "NA", "2.5")
    lines = [f"{number**3}.25,{gaps[number % 3]}\n" for number in range(44)]
    path.write_text("".join(["light,sound\n", *lines]), encoding="utf-8")
    sound = [2.5 if gaps[number % 3] == "2.5" else np.nan for number in range(44)]
    values = np.column_stack([np.arange(44) ** 3 + 0.25, sound])
    return ReaderScene(ReaderFacts(path), {"columns": ("light", "sound"), "values": values}, _shown)


def preparation_scene(case: Case) -> PreparationScene:
    """Scene of a preparation of sheets: rows are frames, and each is a trial of its own."""
    rows = _rows(1)
    sheet = Sheet("m1", _COLUMNS[:4], np.nan_to_num(rows[:, :4]), "m1.csv")  # the laws make gaps of their own
    return PreparationScene(
        PreparationFacts(group="m1"), sheet, rows[:, 4] == 0, np.arange(len(rows)), _columns, _changed
    )


def _shown(sheet: Sheet) -> Mapping[str, Any]:
    return {"columns": sheet.columns, "values": sheet.values}


def _columns(sheet: Sheet) -> Mapping[str, np.ndarray]:
    return dict(zip(sheet.columns, sheet.values.T, strict=True))


def _changed(sheet: Sheet, rows: np.ndarray, value: float) -> Sheet:
    return replace(sheet, values=np.where(rows[:, None], value, sheet.values))


def _sheets_scene(case: Case) -> DatasetScene:
    return DatasetScene(altered={"folder": _folder(2)}, held_out={"folder": _folder(1, held_out=2)})


def _linear_scene(case: Case) -> ModelScene:
    target = TargetSpec("values", 3, "columns", ("x", "y", "z"), (1.0, 2.0, 3.0))
    groups = tuple(GroupSpec(name, {"sheets": name}, (5,), {"values": target}) for name in ("a_1", "b_1"))
    return ModelScene(ModelFacts(groups, 0))


class _DetachedScene(LauncherScene):
    """A job of one process that does nothing: what it leaves is there whenever it is looked at."""

    @property
    def job(self) -> Job:
        """The job."""
        return Job(Path(self.facts.run_dir), (sys.executable, "-c", ""), resume=False)

    def probe(self, built: Any) -> Mapping[str, Any]:
        """Its places, what it says without the number of the process, and the names of its files."""
        places = {name: outcome(self.under(environment).place) for name, environment in ENVIRONMENTS.items()}
        said = re.sub(r"\d+", "", built.start(self.job).replace(self.facts.run_dir, "RUN"))
        return {
            "places": places,
            "said": said,
            "files": sorted(path.name for path in Path(self.facts.run_dir).iterdir()),
        }


def _detached_scene(case: Case) -> LauncherScene:
    facts = LauncherFacts(environment={}, devices=1, count_gpus=lambda: 0, run_dir=str(fresh_folder()))
    return _DetachedScene(lambda changed: case.choose().build(changed), facts)


_SHEETS_VARIANTS = {
    "folder": _folder(2),
    "files": "m1.csv",
    "predict": "rate",
    "split": "other",
    "reader": {"name": "csv_sheet", "missing": ["", "7.0"]},
    "prepare": [{"name": "z_score", "of": ["light"]}],
}

CASES: tuple[Case, ...] = (
    Case(
        "dataset",
        "sheets",
        options={"folder": _folder(1), "predict": ["rate", "width"]},
        variants=_SHEETS_VARIANTS,
        scene=_sheets_scene,
    ),
    Case(
        "reader",
        "csv_sheet",
        options={"missing": ["", "NA"]},
        variants={"missing": ["", "NA", "1.25"]},
        inert={"delimiter": "with another one this file cannot be read, and that is said"},
        scene=reader_scene,
    ),
    Case("preparation", "z_score", variants={"of": ["light", "rate"]}, scene=preparation_scene),
    Case("model", "linear", scene=_linear_scene),
    Case("modulator", "scalar_gain", variants={"side": "eyepos"}),
    Case("logger", "status", expected={"rows_arrive": "it keeps the last value of each name, and says so"}),
    Case("launcher", "detached", scene=_detached_scene),
)
"""Components of which the laws must know more than their names."""
