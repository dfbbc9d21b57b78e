"""The callback `scoreboard` leaves a row for each validation, and the best so far."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from example_lab.callback import Scoreboard
from example_lab.options import ScoreboardOptions
from visioncore_engine.contracts import CallbackFacts
from visioncore_engine.testing import HookRecorder, TinyRun


def read(folder: Path) -> list[list[float]]:
    with (folder / "scoreboard.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["step", "value", "best"]
    return [[float(cell) for cell in row] for row in rows]


def test_a_row_for_each_validation_of_a_run(tiny_run: Callable[..., TinyRun], hook_recorder: HookRecorder) -> None:
    hook_recorder.watch(Scoreboard, "on_validation_end")
    result = tiny_run(callbacks=["scoreboard"]).train()
    rows = read(result.run_dir)
    assert [step for step, *_ in rows] == [4, 8, 12]
    assert len(hook_recorder.of("on_validation_end")) == len(rows)
    assert rows[-1][2] == min(value for _, value, _ in rows) == pytest.approx(result.scores["val/tiny"], rel=1e-6)


@pytest.mark.parametrize(("mode", "best"), [("max", [0.5, 0.75, 0.75]), ("min", [0.5, 0.5, 0.25])])
def test_the_best_is_never_one_that_could_not_be_scored(tmp_path: Path, mode: str, best: list[float]) -> None:
    facts = CallbackFacts(run_dir=tmp_path, monitor="val/score", mode=mode, total_steps=100, steps_per_epoch=10)
    callback = Scoreboard(ScoreboardOptions(), facts)
    for step, value in enumerate([math.nan, 0.5, 0.75, 0.25]):
        metrics = {"val/score": torch.tensor(value)}
        trainer = SimpleNamespace(
            sanity_checking=False, callback_metrics=metrics, global_step=step, is_global_zero=True
        )
        callback.on_validation_end(trainer, None)
    found = [row[2] for row in read(tmp_path)]
    assert math.isnan(found[0])
    assert found[1:] == best
