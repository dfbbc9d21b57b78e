"""The callback `scoreboard` leaves one file, whether or not the run was interrupted."""

from __future__ import annotations

import copy
import csv
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from example_lab.callback import Scoreboard
from example_lab.options import ScoreboardOptions
from visioncore_engine.contracts import CallbackFacts


def build(folder: Path, mode: str = "max") -> Scoreboard:
    facts = CallbackFacts(run_dir=folder, monitor="val/score", mode=mode, total_steps=100, steps_per_epoch=10)
    return Scoreboard(ScoreboardOptions(), facts)


def validate(
    callback: Scoreboard, step: int, value: float | None, *, sanity_checking: bool = False, rank: int = 0
) -> None:
    metrics = {} if value is None else {"val/score": torch.tensor(value)}
    trainer = SimpleNamespace(
        sanity_checking=sanity_checking, callback_metrics=metrics, global_step=step, is_global_zero=rank == 0
    )
    callback.on_validation_end(trainer, None)


def read(folder: Path) -> list[list[float]]:
    with (folder / "scoreboard.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["step", "value", "best"]
    return [[float(cell) for cell in row] for row in rows]


@pytest.mark.parametrize(("mode", "best"), [("max", [0.5, 0.75, 0.75]), ("min", [0.5, 0.5, 0.25])])
def test_a_row_for_each_validation(tmp_path: Path, mode: str, best: list[float]) -> None:
    callback = build(tmp_path, mode)
    validate(callback, 0, 9.0, sanity_checking=True)
    validate(callback, 5, None)
    for step, value in [(10, 0.5), (20, 0.75), (30, 0.25)]:
        validate(callback, step, value)
    assert [row[2] for row in read(tmp_path)] == best
    assert [row[:2] for row in read(tmp_path)] == [[10, 0.5], [20, 0.75], [30, 0.25]]


def test_what_could_not_be_scored_is_never_the_best(tmp_path: Path) -> None:
    callback = build(tmp_path)
    for step, value in [(1, math.nan), (2, 0.5), (3, math.nan)]:
        validate(callback, step, value)
    best = [row[2] for row in read(tmp_path)]
    assert math.isnan(best[0])
    assert best[1:] == [0.5, 0.5]


def test_a_resumed_run_leaves_the_same_file(tmp_path: Path) -> None:
    callback = build(tmp_path)
    validate(callback, 1, 0.75)
    saved = copy.deepcopy(callback.state_dict())
    validate(callback, 2, 0.5)
    unbroken = read(tmp_path)
    validate(callback, 3, 9.0)  # lost with the crash
    resumed = build(tmp_path)
    resumed.load_state_dict(saved)
    validate(resumed, 2, 0.5)
    assert read(tmp_path) == unbroken


def test_only_the_first_process_writes(tmp_path: Path) -> None:
    validate(build(tmp_path), 1, 0.5, rank=1)
    assert not list(tmp_path.iterdir())
