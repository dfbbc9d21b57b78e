"""A tracker that fails, sleeps or is not there ends no training; a killed run that goes on logs each row once."""

from __future__ import annotations

import json
import threading

import pytest
from engine_road import STEPS
from fault_parts import arm, die, raising

FILES = ("metrics.csv", "metrics.jsonl")
WITH_FILES = ("loggers=[csv, jsonl, toy_tracker]",)


@pytest.mark.parametrize("place", ["tracker", "log"])
def test_f32_a_tracker_that_is_dead_from_the_start(road, place):
    ended = road.train("run", *WITH_FILES, before=lambda: arm(place, raising(ConnectionError("no route to host"))))
    assert ended.code == 0, ended
    assert road.step() == STEPS
    assert road.logged() == list(range(1, STEPS + 1))
    assert "no route to host" in ended.err
    assert "plugin 'fault_plugin'" in ended.err


def test_f33_a_tracker_that_raises_in_the_middle(road):
    fault = lambda: arm("log", raising(ConnectionError("no route to host")), step=6)
    ended = road.train("run", *WITH_FILES, before=fault)
    assert ended.code == 0, ended
    assert road.step() == STEPS
    assert road.logged() == list(range(1, STEPS + 1))
    assert ended.err.count("no route to host") == 1


def test_a_tracker_that_never_answers_holds_up_nothing(road):
    ended = road.train("run", *WITH_FILES, limit=20.0, before=lambda: arm("log", threading.Event().wait))
    assert ended.code == 0, ended
    assert road.step() == STEPS
    assert road.logged() == list(range(1, STEPS + 1))


@pytest.mark.parametrize(("every", "step"), [(1, 5), (3, 5), (5, 4), (5, 8), (5, 11)])
@pytest.mark.parametrize("place", ["on_train_batch_end", "on_validation_end"])
def test_files_of_a_resumed_run_are_those_of_an_unbroken_one(road, place, every, step):
    sets = (*WITH_FILES, f"checkpoint.every_n_steps={every}")
    assert road.train("whole", *sets).code == 0
    killed = road.train("cut", *sets, before=lambda: arm(place, die, step=step))
    assert killed.code in (0, -9), killed  # validations are due after some steps only
    if killed.code:
        assert road.train("cut", *sets, resume=True).code == 0
    for name in FILES:
        assert (road.home / "cut" / name).read_bytes() == (road.home / "whole" / name).read_bytes(), name


def test_files_of_a_run_killed_twice_on_two_processes_have_no_row_twice(road):
    assert road.train("whole", *WITH_FILES, processes=2).code == 0
    for step in (5, 8):
        fault = lambda step=step: arm("on_train_batch_end", die, step=step, rank=0)
        assert road.train("cut", *WITH_FILES, processes=2, resume=step > 5, before=fault).code == 70
    assert road.train("cut", *WITH_FILES, processes=2, resume=True).code == 0
    for name in FILES:
        assert (road.home / "cut" / name).read_bytes() == (road.home / "whole" / name).read_bytes(), name


def test_wandb_goes_on_with_its_run(road, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    sets = ("loggers=[csv, {name: wandb, mode: offline}]",)
    killed = road.train("cut", *sets, before=lambda: arm("on_train_batch_end", die, step=7), orphans=("wandb",))
    assert killed.code == -9, killed
    first = road.newest("cut")["visioncore"]["loggers"]["wandb"]
    ended = road.train("cut", *sets, resume=True, limit=120.0, orphans=("wandb",))
    assert ended.code == 0, ended
    assert "warning" not in ended.err
    assert road.newest("cut")["visioncore"]["loggers"]["wandb"] == first
    folders = sorted(path.name for path in (road.home / "cut" / "wandb").glob("offline-run-*"))
    assert len(folders) == 2, folders
    assert all(name.endswith(f"-{first}") for name in folders)
    assert json.loads((road.home / "cut" / "scores.json").read_text())
